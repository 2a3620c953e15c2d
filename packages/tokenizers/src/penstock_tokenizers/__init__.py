"""tiktoken encodings that load without a network."""

from ._counting import count_messages, count_schema, count_text, count_tools
from ._models import encoding_for, encoding_name_for
from ._vocabulary import VocabularyError

__all__ = [
    "VocabularyError",
    "count_messages",
    "count_schema",
    "count_text",
    "count_tools",
    "encoding_for",
    "encoding_name_for",
]
