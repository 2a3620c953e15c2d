"""The course of one completion, decided without I/O: judge an answer, and say whether and how to ask again."""

from collections.abc import Sequence
from typing import Final, Generic, TypeVar

from ._engine import Answer, Question
from ._errors import (
    OK,
    AnswerRefused,
    AnswerTruncated,
    CompletionError,
    ContentFiltered,
)
from ._messages import Message
from ._patience import Patience
from ._shape import Misfit, Shape

T = TypeVar("T")

_CORRECTION: Final = "That answer is invalid:\n{explanation}\nAnswer again, corrected and complete."


class ChatCourse(Generic[T]):
    """A `Course` of prompts.

    Args:
        shape: What the answer must look like.
        messages: The prompt.
        max_completion_tokens: The largest answer to allow at first.
        largest: The largest answer to allow at all, asked for once when the first turns out too small.
        patience: How often to ask again.
    """

    def __init__(
        self,
        shape: Shape[T],
        messages: Sequence[Message],
        *,
        max_completion_tokens: int,
        largest: int,
        patience: Patience,
    ) -> None:
        self.shape = shape
        self._messages = list(messages)
        self._max_completion_tokens = max_completion_tokens
        self._largest = largest
        self._patience = patience
        self._rejected = ""

    def question(self) -> Question:
        """Return what to ask next."""
        return Question(messages=self._messages, shape=self.shape, max_completion_tokens=self._max_completion_tokens)

    def judge(self, answer: Answer) -> T:
        """Return an answer's value.

        Raises:
            CompletionError: It is filtered, refused, cut off or invalid.
        """
        self._patience.answered()
        if answer.finish_reason == "content_filter":
            raise ContentFiltered("answer", answer.filtered, status=OK)
        if answer.refusal:
            raise AnswerRefused(answer.refusal)
        if answer.finish_reason == "length":
            raise AnswerTruncated(self._max_completion_tokens)
        self._rejected = answer.text
        return self.shape.read(answer.text)

    def recover(self, error: CompletionError) -> float:
        """Prepare the next question and return the seconds to wait before asking it.

        Raises:
            CompletionError: The error itself, if asking again is of no use or not allowed.
        """
        self._patience.spend(error)
        match error:
            case Misfit():
                return self._ask_to_correct(error)
            case AnswerTruncated() if self._max_completion_tokens < self._largest:
                self._max_completion_tokens = self._largest
                return 0.0
            case _:
                return self._patience.wait_out(error)

    def _ask_to_correct(self, misfit: Misfit) -> float:
        """Show the model its answer and what is wrong with it."""
        correction = _CORRECTION.format(explanation=misfit.explanation)
        self._messages += [
            {"role": "assistant", "content": self._rejected},
            {"role": "user", "content": correction},
        ]
        return 0.0
