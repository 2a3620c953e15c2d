"""What Azure's content filter says of prompts and answers: nothing, unless a test has it speak."""

from typing import Any, Final

from ._api_error import BAD_REQUEST, ApiError
from ._faults import Category

_CATEGORIES: Final[tuple[Category, ...]] = ("hate", "self_harm", "sexual", "violence")


def results(found: Category | None = None) -> dict[str, Any]:
    """Return what was found of each category, at most one of them worth filtering."""
    return {
        category: {"filtered": category == found, "severity": "high" if category == found else "safe"}
        for category in _CATEGORIES
    }


def prompt_results(found: Category | None = None) -> dict[str, Any]:
    """Return what was found in a prompt, which is also looked at for attempts to break out."""
    return results(found) | {"jailbreak": {"filtered": False, "detected": False}}


def prompt_filter_results() -> list[dict[str, Any]]:
    """Return what every answer says of its prompt."""
    return [{"prompt_index": 0, "content_filter_results": prompt_results()}]


def filtered_prompt(category: Category) -> ApiError:
    """Return the answer to a prompt that the filter stops."""
    return ApiError(
        BAD_REQUEST,
        "content_filter",
        "The prompt was filtered because of the content management policy. Change it and try again.",
        param="prompt",
        details={
            "type": None,
            "status": BAD_REQUEST,
            "innererror": {
                "code": "ResponsibleAIPolicyViolation",
                "content_filter_result": prompt_results(category),
            },
        },
    )
