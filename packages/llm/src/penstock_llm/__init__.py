"""Azure OpenAI under quota: prompts, typed answers, one reservation per attempt."""

from ._errors import (
    AnswerRefused,
    AnswerTruncated,
    CompletionError,
    ContentFiltered,
    DeadlineExceeded,
    EndpointUnavailable,
    InvalidAnswer,
    NotSent,
    RequestRejected,
)
from ._quota_transport import QuotaTransport
from ._service import AzureOpenAIService
from ._text_stream import TextStream
from ._usage import Attempt, Completion, Usage

__all__ = [
    "AnswerRefused",
    "AnswerTruncated",
    "Attempt",
    "AzureOpenAIService",
    "Completion",
    "CompletionError",
    "ContentFiltered",
    "DeadlineExceeded",
    "EndpointUnavailable",
    "InvalidAnswer",
    "NotSent",
    "QuotaTransport",
    "RequestRejected",
    "TextStream",
    "Usage",
]
