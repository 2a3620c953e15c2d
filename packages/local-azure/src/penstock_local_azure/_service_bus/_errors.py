"""Conditions: the names under which a broker refuses something, and the composites that carry them."""

from ._types import Described, Symbol, ULong

DECODE_ERROR = "amqp:decode-error"
FRAMING_ERROR = "amqp:connection:framing-error"
INVALID_FIELD = "amqp:invalid-field"
ILLEGAL_STATE = "amqp:illegal-state"
NOT_ALLOWED = "amqp:not-allowed"
NOT_FOUND = "amqp:not-found"
NOT_IMPLEMENTED = "amqp:not-implemented"
UNATTACHED_HANDLE = "amqp:session:unattached-handle"
MESSAGE_SIZE_EXCEEDED = "amqp:link:message-size-exceeded"
DETACH_FORCED = "amqp:link:detach-forced"
UNAUTHORIZED_ACCESS = "amqp:unauthorized-access"

ARGUMENT_ERROR = "com.microsoft:argument-error"
AUTH_FAILED = "com.microsoft:auth-failed"
MESSAGE_LOCK_LOST = "com.microsoft:message-lock-lost"
MESSAGE_NOT_FOUND = "com.microsoft:message-not-found"
SESSION_CANNOT_BE_LOCKED = "com.microsoft:session-cannot-be-locked"
SESSION_LOCK_LOST = "com.microsoft:session-lock-lost"
TIMEOUT = "com.microsoft:timeout"


class AmqpError(Exception):
    """Something the peer asked for is refused; whoever catches it decides what ends: request, link, connection.

    Args:
        condition: The symbol that names the case.
        description: One sentence for a person, without any message content.
    """

    def __init__(self, condition: str, description: str) -> None:
        super().__init__(f"{condition}: {description}")
        self.condition = condition
        self.description = description

    def composite(self) -> Described:
        """Return the AMQP `error` (part 2, section 2.8.14).

        All three fields are there, the last as an empty map: some clients index them without looking.
        """
        return Described(ULong(0x1D), [Symbol(self.condition), self.description, {}])
