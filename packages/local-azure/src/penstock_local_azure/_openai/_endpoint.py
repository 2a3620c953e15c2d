"""One deployment at work: judges what arrives, draws the answer, keeps the account."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from random import Random
from time import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ._account import Account, Entry
from ._answers import answer
from ._api_error import ApiError
from ._chat_request import ChatRequest
from ._deployment import Deployment
from ._judge import Admitted, Draw, Judge, Rejected

if TYPE_CHECKING:
    from ._billing import Billing, Completion


@dataclass(frozen=True, slots=True)
class Exchange:
    """An admitted request and the answer it will get once its latency is over."""

    request: ChatRequest
    admitted: Admitted
    prompt_tokens: int
    completion: "Completion"


class Endpoint:
    """A deployment's judge, bill and account, behind one synchronous door.

    Args:
        deployment: its name and limits.
        draw: how this run limits.
        seed: what noise and answers derive from.
        clock: seconds since the start of the run.
    """

    def __init__(self, deployment: Deployment, draw: Draw, *, seed: int, clock: Callable[[], float]) -> None:
        self.deployment = deployment
        self.account = Account()
        self._draw = draw
        self._seed = seed
        self._clock = clock
        noise = Random(f"{seed}:noise:{deployment.name}")  # noqa: S311  # reproducible on purpose
        self._judge = Judge(draw, tpm=deployment.tpm, rpm=deployment.rpm, random=noise)

    def arrive(self, request: ChatRequest, billing: "Billing") -> Exchange:
        """Judge a request now, whatever time its answer will take.

        Raises:
            ApiError: 429, it came too early.
        """
        now = self._clock()
        max_tokens = request.max_tokens or self.deployment.max_output_tokens
        prompt_tokens = billing.prompt_tokens(request)
        verdict = self._judge.arrive(
            now, prompt_tokens if self._draw.kind == "exact" else request.characters, max_tokens
        )
        if isinstance(verdict, Rejected):
            self.account.rejected += 1
            raise self._too_early(verdict)
        plan = request.format.plan if request.format else None
        completion = billing.completion(answer(self._seed, request.prompt, plan), max_tokens)
        self.account.entries.append(Entry(now, verdict.judged, prompt_tokens + completion.tokens))
        return Exchange(request, verdict, prompt_tokens, completion)

    def complete(self, exchange: Exchange) -> bytes:
        """Settle an exchange and return the answer's body."""
        self._judge.complete(self._clock(), exchange.admitted, exchange.completion.tokens)
        return json.dumps(self._body(exchange)).encode("ascii")

    def headers(self) -> dict[str, str]:
        """Return what every answer tells of the limits."""
        requests, tokens = self._judge.remaining(self._clock())
        return {
            "x-ratelimit-limit-requests": str(self.deployment.rpm),
            "x-ratelimit-limit-tokens": str(self.deployment.tpm),
            "x-ratelimit-remaining-requests": str(requests),
            "x-ratelimit-remaining-tokens": str(tokens),
        }

    def stats(self) -> dict[str, Any]:
        """Return the account and the draw, ready for JSON."""
        limits = {"tpm": self.deployment.tpm, "rpm": self.deployment.rpm}
        return {**limits, **self.account.summary(self.deployment.tpm), "judge": str(self._draw)}

    def _too_early(self, rejected: Rejected) -> ApiError:
        """Return the answer to a request that is over a limit."""
        rate = "call" if rejected.limit == "requests" else "token"
        seconds = max(1, ceil(rejected.retry_after))
        return ApiError(
            429,
            "429",
            f"The deployment {self.deployment.name} has exceeded its {rate} rate limit. Retry after {seconds} seconds.",
            headers={"retry-after": str(seconds), "retry-after-ms": str(max(1, ceil(rejected.retry_after * 1000)))},
        )

    def _body(self, exchange: Exchange) -> dict[str, Any]:
        """Return the answer as the API writes it."""
        completion = exchange.completion
        return {
            "id": f"chatcmpl-{uuid4().hex}",
            "object": "chat.completion",
            "created": int(time()),
            "model": self.deployment.model or self.deployment.name,
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "length" if completion.truncated else "stop",
                    "logprobs": None,
                    "message": {"role": "assistant", "content": completion.text, "refusal": None},
                }
            ],
            "usage": {
                "prompt_tokens": exchange.prompt_tokens,
                "completion_tokens": completion.tokens,
                "total_tokens": exchange.prompt_tokens + completion.tokens,
                "prompt_tokens_details": {"audio_tokens": 0, "cached_tokens": 0},
                "completion_tokens_details": {"audio_tokens": 0, "reasoning_tokens": 0},
            },
        }
