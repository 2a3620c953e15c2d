"""The service that owns a fleet's tokens-per-minute and requests-per-minute quota."""

from ._counter import TokenCounter

__all__ = ["TokenCounter"]
