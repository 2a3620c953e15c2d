"""The errors of this package and the one place where foreign exceptions become ours."""

from collections.abc import Iterator
from contextlib import contextmanager

from azure.core.exceptions import AzureError
from azure.servicebus.exceptions import (
    MessageAlreadySettled,
    MessageLockLostError,
    MessageNotFoundError,
    MessageSizeExceededError,
    SessionLockLostError,
)

from penstock_servicebus._sdk_internals import AMQPException


class ServiceBusHandlerError(Exception):
    """Root of this package's errors; carries the facts a caller decides by.

    Attributes:
        permanent: Asking again cannot help.
        retry_after: Seconds to wait before asking again, if somebody said so.
        environment: Not this message's fault: a queue, an endpoint or a quota is unavailable.
    """

    permanent: bool = False
    retry_after: float | None = None
    environment: bool = False


class ConfigurationError(ServiceBusHandlerError, ValueError):
    """Raised when arguments and environment do not say, or say twice, what to connect to."""

    permanent = True


class UndecodableMessage(ServiceBusHandlerError):  # noqa: N818 - the name says what happened
    """Raised when a body is not what the processor's annotation asks for; names types and places, never values."""

    permanent = True

    def __init__(self, expected: str, problem: str) -> None:
        super().__init__(f"body is not {expected}: {problem}")
        self.expected = expected
        self.problem = problem


class UnsendableResult(ServiceBusHandlerError):  # noqa: N818 - the name says what happened
    """Raised when a result cannot become a message: wrong type, not serializable, or too large."""

    permanent = True


class HandlingTimeExceeded(ServiceBusHandlerError):  # noqa: N818 - the name says what happened
    """Raised when the processor was still at work after `max_handling_time`; counts as an attempt."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"handling took longer than {seconds:g} s")


class ProcessorCancelled(ServiceBusHandlerError):  # noqa: N818 - the name says what happened
    """Raised when the processor was cancelled by its own code, not by this handler; counts as an attempt."""

    def __init__(self) -> None:
        super().__init__("the processor was cancelled from within")


class ServiceBusUnavailable(ServiceBusHandlerError):  # noqa: N818 - the name says what happened
    """Raised when Service Bus could not be reached, refused us, has no such entity, or the SDK's link broke.

    Attributes:
        action: What was tried, and on which entity.
        reason: Name of the SDK's error and, in brackets, of the first one behind it; never their texts.
    """

    environment = True

    def __init__(self, action: str, cause: BaseException) -> None:
        reason = _reason(cause)
        super().__init__(f"cannot {action}: {reason}")
        self.action = action
        self.reason = reason


class LockLost(ServiceBusHandlerError):  # noqa: N818 - the name says what happened
    """Raised when the broker has already given the message to somebody else."""

    environment = True


# A broken link shows as AttributeError on None or as ValueError ("already shutdown") deep inside the SDK
# (Azure/azure-sdk-for-python #48921, #35618): for us all of these mean that the link must be made anew.
_BROKEN = (AzureError, AMQPException, AttributeError, OSError, ValueError)

_LOST = (MessageLockLostError, SessionLockLostError, MessageAlreadySettled, MessageNotFoundError)


def _reason(error: BaseException) -> str:
    """The error's name, and that of the first in the chain it came at the end of."""
    first = error
    while (behind := getattr(first, "inner_exception", None) or first.__cause__ or first.__context__) is not None:
        first = behind
    name, first_name = type(error).__name__, type(first).__name__
    return name if name == first_name else f"{name} ({first_name})"


@contextmanager
def mapped(action: str) -> Iterator[None]:
    """Turn whatever the SDK raises inside the block into this package's errors."""
    try:
        yield
    except Exception as error:
        if (ours := as_ours(action, error)) is None:
            raise
        raise ours from error


def as_ours(action: str, error: BaseException) -> ServiceBusHandlerError | None:
    """What an error of the SDK is in this package's terms; None if it is none of the SDK's."""
    if isinstance(error, ServiceBusHandlerError):
        return None
    if isinstance(error, _LOST):
        return LockLost(f"cannot {action}: {type(error).__name__}")
    if isinstance(error, MessageSizeExceededError):
        return UnsendableResult(f"cannot {action}: {type(error).__name__}")
    return ServiceBusUnavailable(action, error) if isinstance(error, _BROKEN) else None
