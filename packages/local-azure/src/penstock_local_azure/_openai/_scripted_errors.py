"""Error answers that a test asks for, in the form in which the service gives them."""

from http import HTTPStatus
from typing import Any, Final

from ._api_error import ApiError, retry_after_headers
from ._content_filter import filtered_prompt
from ._faults import FilteredPrompt, ServerError, Throttled

_WHY: Final = {
    "rate": ("429", "The deployment has exceeded its rate limit. Retry later.", {}),
    "capacity": (
        "429",
        "The system is currently experiencing high demand and cannot process your request. Retry later.",
        {},
    ),
    "insufficient_quota": (
        "insufficient_quota",
        "You exceeded your current quota; check your plan and billing details.",
        {"type": "insufficient_quota", "param": None},
    ),
}
"""For each reason of a 429 its code, a sentence and what else the body says."""


def scripted_error(fault: Throttled | ServerError | FilteredPrompt) -> ApiError:
    """Return the answer that a fault asks for."""
    match fault:
        case Throttled(retry_after, why):
            code, message, details = _WHY[why]
            headers = retry_after_headers(retry_after)
            return ApiError(HTTPStatus.TOO_MANY_REQUESTS, code, message, headers=headers, details=details)
        case ServerError(status, retry_after):
            return _server_error(status, retry_after)
        case FilteredPrompt(category):
            return filtered_prompt(category)


def _server_error(status: int, retry_after: float | None) -> ApiError:
    """Return an error whose code is its status in words."""
    known: dict[int, Any] = {each.value: each.phrase for each in HTTPStatus}
    code = known.get(status, "Server Error").replace(" ", "")
    message = "The service could not process the request, as the script asks."
    return ApiError(status, code, message, headers=retry_after_headers(retry_after))
