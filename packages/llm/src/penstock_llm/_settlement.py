"""How a reservation ends: reported with what was used, given back if nothing was sent."""

from typing import Final

from penstock_token_client import CallStatus, Reservation

from ._engine import Answer
from ._errors import CompletionError, EndpointUnavailable
from ._usage import Usage

_TOO_MANY: Final = 429


async def settle(reservation: Reservation, result: Answer | CompletionError, estimate: Usage) -> None:
    """Report what an attempt used; give back what was never sent; keep charged what may have been."""
    if isinstance(result, EndpointUnavailable) and not result.sent:
        await reservation.release()
        return
    used = (result.usage or estimate) if isinstance(result, Answer) else Usage()
    await reservation.report(
        prompt_tokens=used.prompt_tokens,
        completion_tokens=used.completion_tokens,
        headers=result.headers,
        status=_status(result),
    )


def _status(result: Answer | CompletionError) -> CallStatus:
    """Say in the quota's words how a call ended."""
    if isinstance(result, Answer):
        return "truncated" if result.finish_reason == "length" else "ok"
    return "429" if result.status == _TOO_MANY else "error"
