"""The half of the service that asks: typed answers, text, text in pieces."""

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from pydantic import BaseModel

from ._attempts import Attempts
from ._checks import check_number, check_seconds
from ._course import ChatCourse
from ._lane import ChatLane
from ._messages import checked
from ._patience import Patience
from ._prompting import Prompting
from ._shape import TEXT, Shape, shape_of
from ._text_stream import TextStream
from ._usage import Completion

T = TypeVar("T")
ModelT = TypeVar("ModelT", bound=BaseModel)

DEFAULT_RETRIES: Final = 3


class Asking(Prompting):
    """Asks deployments: the first one, and the others while it fails."""

    def __init__(
        self,
        lanes: Sequence[ChatLane],
        *,
        max_completion_tokens: int,
        use_suggested_max_tokens: bool,
        deadline: float | None,
    ) -> None:
        super().__init__(lanes[0], max_completion_tokens)
        self._lanes = lanes
        self._attempts = Attempts(lanes)
        self._use_suggested = use_suggested_max_tokens
        self._deadline = deadline

    async def structured_completion(
        self,
        response_model: type[ModelT],
        messages: Iterable[Mapping[str, Any]],
        max_tokens: int | None = None,
        max_retries: int = DEFAULT_RETRIES,
    ) -> ModelT:
        """Return an answer that fits a Pydantic model; `complete` also tells what it took."""
        completion = await self.complete(response_model, messages, max_tokens=max_tokens, max_retries=max_retries)
        return completion.value

    async def complete(
        self,
        response_model: type[ModelT],
        messages: Iterable[Mapping[str, Any]],
        *,
        max_tokens: int | None = None,
        max_retries: int = DEFAULT_RETRIES,
        deadline: float | None = None,
    ) -> Completion[ModelT]:
        """Ask for an answer that fits a Pydantic model.

        Each attempt reserves its own quota before it is sent and reports its use afterwards. An answer that does not
        fit is shown to the model with what is wrong; one that is cut off is asked for once more with the service's
        ``max_completion_tokens``, if it was given less; 429, 5xx and broken connections are waited out, unless there
        is a deployment to fall back on.

        Args:
            response_model: A Pydantic model class.
            messages: The prompt, as `format_prompt` builds it.
            max_tokens: The largest answer. Default: the service's ``max_completion_tokens``.
            max_retries: How many requests may follow the first, for whatever reason but falling back.
            deadline: Seconds for everything. Default: the service's.

        Raises:
            TypeError, ValueError: An argument is wrong; nothing was sent.
            CompletionError: There is no valid answer; see its subclasses.
            QuotaError: There was no quota in time, or the token counter is out of reach.
        """
        shape = shape_of(response_model)
        return await self._complete(shape, messages, max_tokens=max_tokens, max_retries=max_retries, deadline=deadline)

    async def send_prompt(
        self,
        system_prompt: str,
        user_prompt: str,
        variables: Mapping[str, Any] | None = None,
        *,
        max_tokens: int | None = None,
        max_retries: int = DEFAULT_RETRIES,
        deadline: float | None = None,
    ) -> str:
        """Ask for plain text; the arguments are those of `format_prompt` and `complete`."""
        messages = self.format_prompt(system_prompt, user_prompt, variables)
        completion = await self._complete(
            TEXT, messages, max_tokens=max_tokens, max_retries=max_retries, deadline=deadline
        )
        return completion.value

    def stream_prompt(
        self,
        system_prompt: str,
        user_prompt: str,
        variables: Mapping[str, Any] | None = None,
        *,
        max_tokens: int | None = None,
        max_retries: int = DEFAULT_RETRIES,
        deadline: float | None = None,
    ) -> TextStream:
        """Ask for plain text in pieces; the arguments are those of `send_prompt`.

        ``async with service.stream_prompt(…) as stream`` sends the request and settles it at the end, with the usage
        that the endpoint says, or with what was read if the reader stops early.
        """
        messages = self.format_prompt(system_prompt, user_prompt, variables)
        course = self._course(TEXT, messages, max_tokens, max_retries)
        check_seconds("deadline", deadline)
        return TextStream(self._lanes, course, self._deadline if deadline is None else deadline)

    async def _complete(
        self,
        shape: Shape[T],
        messages: Iterable[Mapping[str, Any]],
        *,
        max_tokens: int | None,
        max_retries: int,
        deadline: float | None,
    ) -> Completion[T]:
        """Check the arguments and run the attempts."""
        check_seconds("deadline", deadline)
        course = self._course(shape, messages, max_tokens, max_retries)
        return await self._attempts.run(course, self._deadline if deadline is None else deadline)

    def _course(
        self, shape: Shape[T], messages: Iterable[Mapping[str, Any]], max_tokens: int | None, max_retries: int
    ) -> ChatCourse[T]:
        """Check the arguments of a call, and plan it."""
        check_number("max_retries", max_retries, least=0)
        largest = self._largest(max_tokens)
        if max_tokens is None and self._use_suggested and (suggested := self._lane.suggested_max_tokens):
            largest = min(largest, suggested)
        return ChatCourse(
            shape,
            checked(messages),
            max_completion_tokens=largest,
            largest=self._max_completion_tokens,
            patience=Patience(max_retries, random.random),
        )
