"""tiktoken encodings that load without a network."""

from ._chat import count_messages, count_prompt
from ._models import encoding_for, encoding_name_for
from ._offloading import count_off_loop
from ._schemas import count_schema
from ._texts import count_text
from ._tools import count_tools
from ._vocabulary import VocabularyError

__all__ = [
    "VocabularyError",
    "count_messages",
    "count_off_loop",
    "count_prompt",
    "count_schema",
    "count_text",
    "count_tools",
    "encoding_for",
    "encoding_name_for",
]
