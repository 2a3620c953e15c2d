"""The service that owns a fleet's tokens-per-minute and requests-per-minute quota."""

from ._access import Access, App, Entra
from ._counter import TokenCounter

__all__ = ["Access", "App", "Entra", "TokenCounter"]
