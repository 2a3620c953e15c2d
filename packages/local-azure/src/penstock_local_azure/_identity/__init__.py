"""A local Entra ID and a throwaway CA: what replaces keys when the stand-ins are served over TLS."""

from ._identity import Identity, Service
from ._trust import Trust

__all__ = ["Identity", "Service", "Trust"]
