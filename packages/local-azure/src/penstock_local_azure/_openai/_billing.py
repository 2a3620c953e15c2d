"""What a request costs: prompt and completion tokens, counted as the bill counts them."""

from collections.abc import Callable
from math import inf
from typing import Final

from penstock_tokenizers import count_messages, count_schema, count_text, count_tools, encoding_for

from ._api_error import bad_request
from ._chat_request import ChatRequest
from ._compact_json import compact_json
from ._completion import Completion, finish_reason
from ._drafts import Call, Draft
from ._embedding_request import EmbeddingRequest, Input

_LONGEST_INPUT: Final = 8_192
"""Tokens of one text to embed."""
_MOST_INPUT_TOKENS: Final = 300_000
"""Tokens of all texts of a request together."""
_REMEMBERED: Final = 256
"""Schemas and sets of tools whose tokens are not counted again: workers send the same few."""


class Billing:
    """Counts for one model.

    Prompts count by the rule of OpenAI's cookbook, schemas and tools as `penstock_tokenizers` does: no rule is
    published for them.
    """

    def __init__(self, model: str) -> None:
        self._encoding = encoding_for(model)
        self._counted: dict[str, int] = {}

    def prompt_tokens(self, request: ChatRequest) -> int:
        """Count what the model has to read: the messages, the tools, and the schema of the answer."""
        tokens = count_messages(self._encoding, request.messages)
        if request.format and request.format.schema is not None:
            schema = request.format.schema
            tokens += self._once(request.format.compact, lambda: count_schema(self._encoding, schema))
        if (tools := request.tools).definitions:
            said = tools.compact + compact_json(tools.choice)
            tokens += self._once(said, lambda: count_tools(self._encoding, tools.definitions, tools.choice))
        return tokens

    def completion(
        self, draft: Draft, max_tokens: int, *, reasoning_tokens: int = 0, named: bool = False
    ) -> Completion:
        """Count an answer, and cut it off where its bound is.

        Args:
            draft: the answer.
            max_tokens: its bound.
            reasoning_tokens: how many tokens the model would like to think before.
            named: whether the answer had to be a certain call.
        """
        thought = min(reasoning_tokens, max_tokens)
        meter = self._meter(max_tokens - thought)
        bounded = meter.cut(draft)
        return Completion(
            content=bounded.content,
            calls=bounded.calls,
            refusal=bounded.refusal,
            filtered=bounded.filtered,
            finish_reason=finish_reason(bounded, truncated=meter.truncated, named=named),
            tokens=thought + meter.taken,
            reasoning_tokens=thought,
        )

    def tokens(self, draft: Draft) -> int:
        """Count a whole answer."""
        meter = self._meter(inf)
        meter.cut(draft)
        return meter.taken

    def inputs(self, request: EmbeddingRequest) -> tuple[list[str], int]:
        """Return the texts that are to be embedded, and their tokens.

        Raises:
            ApiError: they have too many, or one that is none of the model's.
        """
        counted = [self._input(each) for each in request.inputs]
        if max(tokens for _, tokens in counted) > _LONGEST_INPUT:
            raise bad_request(f"An input is longer than {_LONGEST_INPUT} tokens.", param="input")
        if (total := sum(tokens for _, tokens in counted)) > _MOST_INPUT_TOKENS:
            raise bad_request(f"The inputs have more than {_MOST_INPUT_TOKENS} tokens together.", param="input")
        return [text for text, _ in counted], total

    def _input(self, given: Input) -> tuple[str, int]:
        """Return the text of one input, and its tokens."""
        if isinstance(given, str):
            return given, count_text(self._encoding, given)
        try:
            pieces = [self._encoding.decode_single_token_bytes(token) for token in given]
        except (KeyError, OverflowError):
            raise bad_request("A token of an input is none of the model's.", param="input") from None
        return b"".join(pieces).decode(errors="replace"), len(given)

    def _meter(self, most: float) -> "_Meter":
        """Return a meter for one answer."""
        return _Meter(self._encoding.encode_ordinary, self._encoding.decode, most)

    def _once(self, compact: str, count: Callable[[], int]) -> int:
        """Count a schema or tools, or remember what they counted."""
        if compact not in self._counted:
            if len(self._counted) == _REMEMBERED:
                self._counted.clear()
            self._counted[compact] = count()
        return self._counted[compact]


class _Meter:
    """Takes the parts of an answer one after another until its tokens are used up."""

    def __init__(self, encode: Callable[[str], list[int]], decode: Callable[[list[int]], str], most: float) -> None:
        self._encode = encode
        self._decode = decode
        self._left = most
        self.taken = 0
        self.truncated = False

    def cut(self, draft: Draft) -> Draft:
        """Return as much of an answer as there are tokens for."""
        content = None if draft.content is None else self._take(draft.content)
        refusal = None if draft.refusal is None else self._take(draft.refusal)
        calls: list[Call] = []
        for call in draft.calls:
            name = self._take(call.name)
            if name == call.name:
                calls.append(Call(name, self._take(call.arguments)))
        return Draft(content, tuple(calls), refusal, draft.filtered)

    def _take(self, text: str) -> str:
        """Return as much of a text as there are tokens for."""
        tokens = self._encode(text)
        if len(tokens) > self._left:
            self.truncated = True
            tokens = tokens[: int(self._left)]
            # A cut through a character leaves a replacement character behind; no answer ends in half a one.
            text = self._decode(tokens).rstrip("\ufffd")
        self._left -= len(tokens)
        self.taken += len(tokens)
        return text
