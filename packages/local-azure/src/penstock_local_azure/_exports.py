"""Public names, imported when they are first used.

pytest imports the plugin, and with it this package, in every run of every project that has it installed; the servers
must cost nothing there.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Final

_MODULES: Final[Mapping[str, str]] = {
    "AddressUnavailable": "_errors",
    "Blob": "_blob",
    "CloseConnection": "_service_bus",
    "CorruptBody": "_blob",
    "CutAnswer": "_http_faults",
    "CutRequest": "_blob",
    "DeliverAgain": "_service_bus",
    "Deployment": "_openai",
    "DetachLink": "_service_bus",
    "DirectoryUnavailable": "_errors",
    "ErrorEvent": "_openai",
    "FilteredAnswer": "_openai",
    "FilteredPrompt": "_openai",
    "GatewayPage": "_openai",
    "InvalidAnswer": "_openai",
    "LateAnswer": "_http_faults",
    "LocalAzure": "_local_azure",
    "LocalAzureError": "_errors",
    "LoseAnswer": "_service_bus",
    "ModelRequest": "_openai",
    "OpenAI": "_openai",
    "Queue": "_service_bus",
    "Refusal": "_openai",
    "Refuse": "_service_bus",
    "ServerError": "_openai",
    "ServiceBus": "_service_bus",
    "SlowAnswer": "_service_bus",
    "SlowBody": "_blob",
    "StallConnection": "_service_bus",
    "StalledAnswer": "_http_faults",
    "StorageError": "_blob",
    "Subscription": "_service_bus",
    "Throttled": "_openai",
    "Topic": "_service_bus",
    "TruncatedAnswer": "_openai",
    "UnknownLimits": "_openai",
}


def __getattr__(name: str) -> object:
    """Import the module that holds a public name, and return what it holds (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__package__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__package__}.{_MODULES[name]}"), name)
