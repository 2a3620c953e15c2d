"""What a request costs: prompt and completion tokens, counted as the bill counts them."""

from dataclasses import dataclass

from penstock_tokenizers import count_messages, count_schema, encoding_for

from ._chat_request import ChatRequest


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer's text, cut off if it was too long."""

    text: str
    tokens: int
    truncated: bool


class Billing:
    """Counts for one model.

    Prompts count by the rule of OpenAI's cookbook, schemas as `penstock_tokenizers.count_schema` does: no rule is
    published for them.
    """

    def __init__(self, model: str) -> None:
        self._encoding = encoding_for(model)
        self._schemas: dict[str, int] = {}

    def prompt_tokens(self, request: ChatRequest) -> int:
        """Count what the model has to read: the messages, and the schema of the answer."""
        return count_messages(self._encoding, request.messages) + self._schema_tokens(request)

    def completion(self, text: str, max_tokens: int) -> Completion:
        """Count an answer, and cut it off after `max_tokens`."""
        tokens = self._encoding.encode_ordinary(text)
        if len(tokens) <= max_tokens:
            return Completion(text, len(tokens), truncated=False)
        # A cut through a character leaves a replacement character behind; no answer ends in half a one.
        return Completion(self._encoding.decode(tokens[:max_tokens]).rstrip("\ufffd"), max_tokens, truncated=True)

    def _schema_tokens(self, request: ChatRequest) -> int:
        """Count a schema, once: workers send the same few again and again."""
        if request.format is None:
            return 0
        if request.format.compact not in self._schemas:
            self._schemas[request.format.compact] = count_schema(self._encoding, request.format.schema)
        return self._schemas[request.format.compact]
