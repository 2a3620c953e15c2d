"""The Azure OpenAI stand-in."""

from ._deployment import Deployment
from ._fault_script import Faults
from ._faults import (
    ErrorEvent,
    FilteredAnswer,
    FilteredPrompt,
    GatewayPage,
    InvalidAnswer,
    Refusal,
    ServerError,
    Throttled,
    TruncatedAnswer,
    UnknownLimits,
)
from ._judge import JudgeKind
from ._requests import ModelRequest
from ._server import OpenAI

__all__ = [
    "Deployment",
    "ErrorEvent",
    "Faults",
    "FilteredAnswer",
    "FilteredPrompt",
    "GatewayPage",
    "InvalidAnswer",
    "JudgeKind",
    "ModelRequest",
    "OpenAI",
    "Refusal",
    "ServerError",
    "Throttled",
    "TruncatedAnswer",
    "UnknownLimits",
]
