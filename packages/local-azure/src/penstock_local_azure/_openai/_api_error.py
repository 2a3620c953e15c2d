"""Every answer other than success: raised where it is decided, put on the wire in one place."""

from collections.abc import Mapping
from math import ceil
from typing import Any, Final

BAD_REQUEST: Final = 400
NOT_IMPLEMENTED: Final = 501


class ApiError(Exception):
    """An error answer on its way to the client.

    Args:
        status: the HTTP status.
        code: what Azure's `error.code` says.
        message: a sentence of our own; it never quotes the prompt.
        param: the part of the request that is at fault, where Azure names one.
        headers: headers of the answer.
        details: what else Azure's `error` says.
    """

    def __init__(
        self,
        status: int,
        code: str | None,
        message: str,
        *,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.param = param
        self.headers = dict(headers or {})
        self.details = dict(details or {})

    def body(self) -> dict[str, Any]:
        """Return the answer's body: the gateway's short form, or the model's with type and param for a bad request."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.status == BAD_REQUEST:
            error |= {"param": self.param, "type": "invalid_request_error"}
        return {"error": error | self.details}


def bad_request(message: str, *, param: str | None = None, code: str | None = None) -> ApiError:
    """Return the answer to a request that Azure would refuse, too."""
    return ApiError(BAD_REQUEST, code, message, param=param)


def not_implemented(what: str, *, param: str | None = None) -> ApiError:
    """Return the answer to a request that Azure would serve and this stand-in does not.

    The OpenAI SDK obeys `x-should-retry`; without it, it would try a 501 again.
    """
    message = f"The local stand-in does not implement {what}."
    return ApiError(NOT_IMPLEMENTED, "NotImplemented", message, param=param, headers={"x-should-retry": "false"})


def retry_after_headers(seconds: float | None) -> dict[str, str]:
    """Return both headers that say when to come again: in whole seconds and in milliseconds; none, if unknown."""
    if seconds is None:
        return {}
    return {"retry-after": str(max(1, ceil(seconds))), "retry-after-ms": str(max(1, ceil(seconds * 1000)))}
