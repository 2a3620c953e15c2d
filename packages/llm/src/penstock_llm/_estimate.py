"""How many tokens a prompt will be judged and billed: never fewer than it will be."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final

import tiktoken

from penstock_tokenizers import count_messages, count_off_loop, count_schema, count_text, encoding_for

from ._messages import Message, characters
from ._shape import Shape

SCHEMA_MARGIN: Final = 16
"""Tokens for the words that introduce a schema to the model; no rule is published."""


class Estimator:
    """Counts prompts for one deployment.

    Args:
        deployment: The deployment's name.
        encodings: Deployment to model or encoding, for names that say nothing.
    """

    def __init__(self, deployment: str, encodings: Mapping[str, str] | None) -> None:
        self._deployment = deployment
        self._encodings = encodings
        self._schemas: dict[Shape[Any], int] = {}

    @cached_property
    def encoding(self) -> tiktoken.Encoding:
        """The deployment's encoding; building it the first time takes a few tenths of a second."""
        return encoding_for(self._deployment, self._encodings)

    def messages(self, messages: Sequence[Message]) -> int:
        """Count the messages."""
        return count_messages(self.encoding, messages)

    def prompt(self, messages: Sequence[Message], shape: Shape[Any]) -> int:
        """Count everything the model has to read."""
        return self.messages(messages) + self._schema(shape)

    async def prompt_off_loop(self, messages: Sequence[Message], shape: Shape[Any]) -> int:
        """Count as `prompt` does, without holding up the event loop."""
        if "encoding" not in self.__dict__:
            await asyncio.to_thread(lambda: self.encoding)
        return await count_off_loop(characters(messages), self.prompt, messages, shape)

    def _schema(self, shape: Shape[Any]) -> int:
        """Count a shape's schema, once."""
        if shape.schema is None:
            return 0
        if shape not in self._schemas:
            name = count_text(self.encoding, shape.name)
            self._schemas[shape] = name + count_schema(self.encoding, shape.schema) + SCHEMA_MARGIN
        return self._schemas[shape]
