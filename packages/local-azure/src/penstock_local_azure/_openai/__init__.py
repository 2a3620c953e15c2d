"""The Azure OpenAI stand-in."""

from ._deployment import Deployment
from ._judge import JudgeKind
from ._server import OpenAI

__all__ = ["Deployment", "JudgeKind", "OpenAI"]
