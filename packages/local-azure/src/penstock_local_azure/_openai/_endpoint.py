"""One deployment at work: judges what arrives, has it answered or go wrong, keeps the account."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil
from random import Random
from typing import TYPE_CHECKING, Any, Final

from ._account import Account, Entry
from ._answering import Answering, written
from ._api_error import ApiError, bad_request, retry_after_headers
from ._chat_answers import ChatAnswer
from ._chat_request import read_chat_request
from ._deployment import Deployment
from ._embedding_request import read_embedding_request
from ._embeddings import embeddings_body
from ._fault_script import Faults
from ._faults import Delivery, Fault, FilteredPrompt, ServerError, Throttled, UnknownLimits
from ._judge import Admitted, Draw, Judge, Rejected
from ._replies import Replies, Said
from ._requests import ModelRequest
from ._scripted_errors import scripted_error

if TYPE_CHECKING:
    from ._billing import Billing

_OPERATION_NAMES: Final = {"chat": "chatCompletion", "embeddings": "embeddings"}


@dataclass(frozen=True, slots=True)
class Exchange:
    """An admitted request and the answer it will get once its latency is over."""

    request: ModelRequest
    admitted: Admitted
    parts: tuple[bytes, ...]
    """The answer's body, or the events of its stream."""
    streamed: bool
    fault: Delivery | None


class Endpoint:
    """A deployment's judge, bill and account, behind one synchronous door.

    Args:
        deployment: its name and limits.
        draw: how this run limits.
        seed: what noise and answers derive from.
        clock: seconds since the start of the run.
        faults: the script of what goes wrong.
    """

    def __init__(
        self, deployment: Deployment, draw: Draw, *, seed: int, clock: Callable[[], float], faults: Faults
    ) -> None:
        self.deployment = deployment
        self.account = Account()
        self.replies = Replies()
        self._answering = Answering(seed, deployment.max_output_tokens)
        self._draw = draw
        self._clock = clock
        self._faults = faults
        noise = Random(f"{seed}:noise:{deployment.name}")  # noqa: S311  # reproducible on purpose
        self._judge = Judge(draw, tpm=deployment.tpm, rpm=deployment.rpm, random=noise)

    def arrive(self, request: ModelRequest, body: Mapping[str, Any], billing: "Billing") -> Exchange:
        """Judge a request now, whatever time its answer will take.

        Args:
            request: where to note what becomes of it.
            body: what it says.
            billing: what counts it.

        Raises:
            ApiError: it cannot be served, it came too early, or the script has it fail.
        """
        if request.operation not in self.deployment.operations:
            raise bad_request(
                f"The {_OPERATION_NAMES[request.operation]} operation does not work with the specified model, "
                f"{self.deployment.model_name}. Please choose different model and try again.",
                code="OperationNotSupported",
            )
        return (self._chat if request.operation == "chat" else self._embed)(request, body, billing)

    def complete(self, exchange: Exchange) -> None:
        """Settle an exchange: its answer goes out."""
        self._judge.complete(self._clock(), exchange.admitted, exchange.request.completion_tokens)

    def lower(self, tpm: int, seconds: float) -> None:
        """Let fewer tokens through for a time."""
        self._judge.lower(tpm, self._clock() + seconds)

    def headers(self, fault: Delivery | None = None) -> dict[str, str]:
        """Return what every answer tells of the limits."""
        now = self._clock()
        requests, tokens = self._judge.remaining(now)
        next_requests, next_tokens = self._judge.resets(now)
        told = {
            "limit-requests": self.deployment.rpm,
            "limit-tokens": self._judge.tpm(now),
            "remaining-requests": requests,
            "remaining-tokens": tokens,
            "reset-requests": ceil(next_requests),
            "reset-tokens": ceil(next_tokens),
        }
        if isinstance(fault, UnknownLimits):
            told = {name: 0 if name.startswith("reset") else -1 for name in told}
        return {f"x-ratelimit-{name}": str(number) for name, number in told.items()}

    def stats(self) -> dict[str, Any]:
        """Return the account and the draw, ready for JSON."""
        limits = {"tpm": self.deployment.tpm, "rpm": self.deployment.rpm}
        faults = {"faults": self._faults.account(self.deployment.name)}
        return {**limits, **self.account.summary(self.deployment.tpm), **faults, "judge": str(self._draw)}

    def _chat(self, request: ModelRequest, body: Mapping[str, Any], billing: "Billing") -> Exchange:
        """Judge and answer a chat completion."""
        chat = read_chat_request(body, self.deployment)
        prompt_tokens = billing.prompt_tokens(chat)
        admitted = self._admit(request, prompt_tokens, chat.characters, self._answering.bound(chat))
        fault, said = self._interference(request, admitted)
        completion = self._answering.complete(chat, billing, said, fault)
        answer = ChatAnswer(self.deployment.model_name, prompt_tokens, completion)
        self._bill(request, admitted, prompt_tokens, completion.tokens)
        return Exchange(request, admitted, tuple(written(answer, chat)), streamed=chat.stream, fault=_on_its_way(fault))

    def _embed(self, request: ModelRequest, body: Mapping[str, Any], billing: "Billing") -> Exchange:
        """Judge and answer a request for embeddings, which costs its inputs and nothing more."""
        wanted = read_embedding_request(body, self.deployment)
        texts, tokens = billing.inputs(wanted)
        admitted = self._admit(request, tokens, sum(map(len, texts)), 0)
        fault, _ = self._interference(request, admitted)
        answer = embeddings_body(self.deployment.model_name, wanted, texts, tokens)
        self._bill(request, admitted, tokens, 0)
        return Exchange(
            request, admitted, (json.dumps(answer).encode("ascii"),), streamed=False, fault=_on_its_way(fault)
        )

    def _admit(self, request: ModelRequest, prompt_tokens: int, characters: int, max_tokens: int) -> Admitted:
        """Let the judge decide."""
        size = prompt_tokens if self._draw.kind == "exact" else characters
        verdict = self._judge.arrive(self._clock(), size, max_tokens)
        if isinstance(verdict, Rejected):
            self.account.rejected += 1
            raise self._too_early(verdict)
        request.judged = verdict.judged
        return verdict

    def _interference(self, request: ModelRequest, admitted: Admitted) -> tuple[Fault | None, Said | None]:
        """Return what goes wrong with an admitted request, and what it is answered by order.

        Raises:
            ApiError: it fails.
        """
        fault, said = self._faults.strike(request.operation, request.deployment), None
        if request.operation == "chat" and (fault is None or isinstance(fault, Delivery)):
            reply = self.replies.next(request)
            fault, said = (reply, None) if isinstance(reply, Fault) else (fault, reply)
        if fault is not None:
            request.fault = type(fault).__name__
            self._faults.note(fault, request.operation, request.deployment)
        if isinstance(fault, Throttled):
            self._judge.withdraw(admitted.charge.at, admitted)
            self.account.turned_away += 1
            request.judged = 0
            raise scripted_error(fault)
        if isinstance(fault, ServerError | FilteredPrompt):
            self._bill(request, admitted, 0, 0)
            raise scripted_error(fault)
        return fault, said

    def _bill(self, request: ModelRequest, admitted: Admitted, prompt_tokens: int, completion_tokens: int) -> None:
        """Note what an admitted request costs."""
        request.prompt_tokens = prompt_tokens
        request.completion_tokens = completion_tokens
        self.account.entries.append(Entry(admitted.charge.at, admitted.judged, request.billed))

    def _too_early(self, rejected: Rejected) -> ApiError:
        """Return the answer to a request that is over a limit."""
        rate = "call" if rejected.limit == "requests" else "token"
        seconds = max(1, ceil(rejected.retry_after))
        return ApiError(
            429,
            "429",
            f"The deployment {self.deployment.name} has exceeded its {rate} rate limit. Retry after {seconds} seconds.",
            headers=retry_after_headers(rejected.retry_after),
        )


def _on_its_way(fault: Fault | None) -> Delivery | None:
    """Return a fault that happens to an answer on its way, not to what it says."""
    return fault if isinstance(fault, Delivery) else None
