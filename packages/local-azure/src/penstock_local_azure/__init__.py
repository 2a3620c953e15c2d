"""Local stand-ins, on the wire, for Service Bus, Azure OpenAI and Blob Storage: for development and tests."""

from typing import TYPE_CHECKING

from ._exports import __getattr__ as __getattr__

if TYPE_CHECKING:
    from ._blob import Blob
    from ._errors import AddressUnavailable, LocalAzureError
    from ._local_azure import LocalAzure
    from ._openai import (
        CutAnswer,
        Deployment,
        ErrorEvent,
        FilteredAnswer,
        FilteredPrompt,
        GatewayPage,
        InvalidAnswer,
        LateAnswer,
        ModelRequest,
        OpenAI,
        Refusal,
        ServerError,
        StalledAnswer,
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
    "CutAnswer",
    "DeliverAgain",
    "Deployment",
    "DetachLink",
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
    "StallConnection",
    "StalledAnswer",
    "Subscription",
    "Throttled",
    "Topic",
    "TruncatedAnswer",
    "UnknownLimits",
]
