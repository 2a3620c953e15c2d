"""How many tokens a prompt will be judged and billed: never fewer than it will be, and soon hardly more."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import tiktoken

from penstock_tokenizers import count_messages, count_off_loop, encoding_for

from ._calibration import Calibration
from ._messages import Message, characters
from ._shape import Shape


class Estimator:
    """Counts prompts for one deployment.

    Args:
        deployment: The deployment's name.
        encodings: Deployment to model or encoding, for names that say nothing.
        shape_tokens: Counts what asking for a shape adds to the messages.
    """

    def __init__(
        self,
        deployment: str,
        encodings: Mapping[str, str] | None,
        shape_tokens: Callable[[Shape[Any], tiktoken.Encoding], int],
    ) -> None:
        self._deployment = deployment
        self._encodings = encodings
        self._shape_tokens = shape_tokens
        self._overheads: WeakKeyDictionary[Shape[Any], Calibration] = WeakKeyDictionary()

    @cached_property
    def encoding(self) -> tiktoken.Encoding:
        """The deployment's encoding; building it the first time takes a few tenths of a second."""
        return encoding_for(self._deployment, self._encodings)

    async def ready(self) -> tiktoken.Encoding:
        """Return the encoding, built without holding up the event loop."""
        if "encoding" not in self.__dict__:
            await asyncio.to_thread(lambda: self.encoding)
        return self.encoding

    def messages(self, messages: Sequence[Message]) -> int:
        """Count the messages."""
        return count_messages(self.encoding, messages)

    def overhead(self, shape: Shape[Any]) -> int:
        """Return what a shape adds to the messages: its schema as counted, or as learned from answers."""
        return self._calibration(shape).overhead

    async def messages_off_loop(self, messages: Sequence[Message]) -> int:
        """Count the messages without holding up the event loop."""
        await self.ready()
        return await count_off_loop(characters(messages), self.messages, messages)

    def learn(self, shape: Shape[Any], overhead: int) -> None:
        """Take what an answer's usage says about its shape's overhead."""
        self._calibration(shape).learn(overhead)

    def _calibration(self, shape: Shape[Any]) -> Calibration:
        """Return what is known of a shape, which is counted once."""
        known = self._overheads.get(shape)
        if known is None:
            known = self._overheads[shape] = Calibration(self._shape_tokens(shape, self.encoding))
        return known
