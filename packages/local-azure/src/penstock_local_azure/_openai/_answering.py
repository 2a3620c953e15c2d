"""From a chat request to the answer it gets: what a test ordered or the draw gives, bounded, counted and written."""

import json
from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING, Final

from ._chat_answers import ChatAnswer
from ._chat_request import ChatRequest
from ._completion import Completion
from ._drafts import Draft, drawn, given, spoiled
from ._faults import Fault, FilteredAnswer, InvalidAnswer, Refusal, TruncatedAnswer
from ._replies import Said, as_text

if TYPE_CHECKING:
    from ._billing import Billing

_THOUGHT: Final = 64
"""Hidden tokens come in multiples of this."""
_MOST_THOUGHTS: Final = 8
DONE: Final = b"data: [DONE]\n\n"


class Answering:
    """Answers for one model.

    Args:
        seed: what answers derive from.
        max_output_tokens: the longest answer.
    """

    def __init__(self, seed: int, max_output_tokens: int) -> None:
        self._seed = seed
        self._max_output_tokens = max_output_tokens

    def bound(self, request: ChatRequest) -> int:
        """Return how many tokens an answer may have."""
        return request.max_tokens or self._max_output_tokens

    def complete(
        self,
        request: ChatRequest,
        billing: "Billing",
        said: Said | None,
        fault: Fault | None,
    ) -> Completion:
        """Answer a request.

        Args:
            request: what is answered.
            billing: what counts the answer.
            said: what a test ordered; None: whatever is drawn.
            fault: what goes wrong with the answer.
        """
        draft = _with_fault(request, self._draft(request, said), fault)
        thoughts = self._thoughts(request)
        bound = self.bound(request)
        if isinstance(fault, TruncatedAnswer):
            bound = min(bound, thoughts + billing.tokens(draft) // 2)
        return billing.completion(draft, bound, reasoning_tokens=thoughts, named=request.tools.named)

    def _draft(self, request: ChatRequest, said: Said | None) -> Draft:
        """Return the answer before anything happens to it."""
        if said is None:
            return drawn(request, self._seed)
        return given(request, as_text(said), typed=not isinstance(said, str))

    def _thoughts(self, request: ChatRequest) -> int:
        """Draw how many tokens the model thinks before it answers."""
        if not request.reasons:
            return 0
        random = Random(f"{self._seed}\nthoughts\n{request.prompt}".encode("utf-8", "surrogatepass"))  # noqa: S311
        return random.randint(1, _MOST_THOUGHTS) * _THOUGHT


def _with_fault(request: ChatRequest, draft: Draft, fault: Fault | None) -> Draft:
    """Return an answer as a fault leaves it."""
    match fault:
        case InvalidAnswer(how):
            return spoiled(request, draft, how)
        case Refusal(text):
            return Draft(refusal=text)
        case FilteredAnswer(category):
            content = draft.content or ""
            return Draft(content[: len(content) // 2], filtered=category)
        case _:
            return draft


def written(answer: ChatAnswer, request: ChatRequest) -> Iterator[bytes]:
    """Write an answer: in one piece, or as events of a stream."""
    if not request.stream:
        yield json.dumps(answer.body()).encode("ascii")
        return
    for chunk in answer.chunks(include_usage=request.include_usage):
        yield b"data: %s\n\n" % json.dumps(chunk).encode("ascii")
    yield DONE
