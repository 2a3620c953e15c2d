"""Local stand-ins, on the wire, for Service Bus, Azure OpenAI and Blob Storage: for development and tests."""

from typing import TYPE_CHECKING

from ._exports import __getattr__ as __getattr__

if TYPE_CHECKING:
    from ._blob import Blob, CorruptBody, CutRequest, SlowBody, StorageError
    from ._errors import AddressUnavailable, DirectoryUnavailable, LocalAzureError
    from ._http_faults import CutAnswer, LateAnswer, StalledAnswer
    from ._local_azure import LocalAzure
    from ._openai import (
        Deployment,
        ErrorEvent,
        FilteredAnswer,
        FilteredPrompt,
        GatewayPage,
        InvalidAnswer,
        ModelRequest,
        OpenAI,
        Refusal,
        ServerError,
        Throttled,
        TruncatedAnswer,
        UnknownLimits,
    )
    from ._service_bus import (
        CloseConnection,
        DeliverAgain,
        DetachLink,
        LoseAnswer,
        Queue,
        Refuse,
        ServiceBus,
        SlowAnswer,
        StallConnection,
        Subscription,
        Topic,
    )

__all__ = [
    "AddressUnavailable",
    "Blob",
    "CloseConnection",
    "CorruptBody",
    "CutAnswer",
    "CutRequest",
    "DeliverAgain",
    "Deployment",
    "DetachLink",
    "DirectoryUnavailable",
    "ErrorEvent",
    "FilteredAnswer",
    "FilteredPrompt",
    "GatewayPage",
    "InvalidAnswer",
    "LateAnswer",
    "LocalAzure",
    "LocalAzureError",
    "LoseAnswer",
    "ModelRequest",
    "OpenAI",
    "Queue",
    "Refusal",
    "Refuse",
    "ServerError",
    "ServiceBus",
    "SlowAnswer",
    "SlowBody",
    "StallConnection",
    "StalledAnswer",
    "StorageError",
    "Subscription",
    "Throttled",
    "Topic",
    "TruncatedAnswer",
    "UnknownLimits",
]
