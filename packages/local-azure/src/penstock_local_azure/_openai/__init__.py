"""The Azure OpenAI stand-in."""

from ._deployment import Deployment
from ._fault_script import Faults
from ._faults import (
    CutAnswer,
    ErrorEvent,
    FilteredAnswer,
    FilteredPrompt,
    GatewayPage,
    InvalidAnswer,
    LateAnswer,
    Refusal,
    ServerError,
    StalledAnswer,
    Throttled,
    TruncatedAnswer,
    UnknownLimits,
)
from ._judge import JudgeKind
from ._requests import ModelRequest
from ._server import OpenAI

__all__ = [
    "CutAnswer",
    "Deployment",
    "ErrorEvent",
    "Faults",
    "FilteredAnswer",
    "FilteredPrompt",
    "GatewayPage",
    "InvalidAnswer",
    "JudgeKind",
    "LateAnswer",
    "ModelRequest",
    "OpenAI",
    "Refusal",
    "ServerError",
    "StalledAnswer",
    "Throttled",
    "TruncatedAnswer",
    "UnknownLimits",
]
