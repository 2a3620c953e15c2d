"""The half of the service that needs no endpoint: prompts, and what they cost."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from ._checks import check_number
from ._lane import ChatLane
from ._messages import Message, checked
from ._prompt import Example, build_prompt
from ._shape import TEXT, shape_of


class Prompting:
    """Builds and counts prompts for a deployment."""

    def __init__(self, lane: ChatLane, max_completion_tokens: int) -> None:
        self._lane = lane
        self._max_completion_tokens = max_completion_tokens

    def format_prompt(
        self,
        system_prompt: str,
        user_prompt: str,
        variables: Mapping[str, Any] | None = None,
        examples: Iterable[Example] | None = None,
    ) -> list[Message]:
        """Build the messages of a prompt.

        Args:
            system_prompt: The instructions; blank leaves them out.
            user_prompt: The question.
            variables: Values for ``{name}`` in both prompts. Every other brace, also in the values, is text, and
                ``{{name}}`` is the text ``{name}``. None: no placeholder is replaced.
            examples: Questions and answers to show first, as pairs or as mappings with ``user`` and ``assistant``
                (or ``input`` and ``output``). An answer may be a Pydantic model.

        Raises:
            ValueError: A variable has no value, or the question is blank; the message names it.
        """
        return build_prompt(system_prompt, user_prompt, variables, examples)

    def count_tokens(self, messages: Iterable[Mapping[str, Any]]) -> int:
        """Count the tokens of messages, by the rule of OpenAI's cookbook."""
        return self._lane.estimator.messages(checked(messages))

    def estimate_token_count(
        self,
        messages: Iterable[Mapping[str, Any]],
        max_tokens: int | None = None,
        response_model: type[BaseModel] | None = None,
    ) -> int:
        """Count what an attempt reserves: messages, what the schema adds, and the largest answer.

        A schema is counted with a margin at first, and as answers show it once some have come.

        Args:
            messages: The prompt.
            max_tokens: The largest answer. Default: the service's ``max_completion_tokens``.
            response_model: The model of the answer, if it is to be typed.
        """
        shape = TEXT if response_model is None else shape_of(response_model)
        return self.count_tokens(messages) + self._lane.estimator.overhead(shape) + self._largest(max_tokens)

    def _largest(self, max_tokens: int | None) -> int:
        """Return the largest answer to allow."""
        if max_tokens is None:
            return self._max_completion_tokens
        return check_number("max_tokens", max_tokens, least=1)
