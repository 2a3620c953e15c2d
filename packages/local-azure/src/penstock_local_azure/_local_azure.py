"""All three stand-ins at once, and the environment that leads to them."""

from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack, contextmanager
from types import TracebackType
from typing import Any, Self

from ._blob import Blob
from ._control import STATS_PATH, control
from ._errors import AddressUnavailable
from ._listening import listening
from ._openai import Deployment, JudgeKind, OpenAI
from ._service_bus import Queue, ServiceBus, Topic

_CONTAINER_VARIABLES = ("AZURE_STORAGE_CONTAINER", "LOGS_CONTAINER")


class LocalAzure:
    """Service Bus, Azure OpenAI and Blob Storage on loopback, as an async context manager.

    They serve while its block runs; when it ends, their ports are free and what they held is gone. They are
    stand-ins: no secret protects them, and what Penstock does not use of Azure is refused by name.

    Args:
        queues: what the Service Bus namespace contains, topics included; a name stands for a queue with the service's
            defaults.
        deployments: what the Azure OpenAI resource contains; `environment` names the first one.
        containers: what the storage account contains; `environment` names the first one as the uploader's, the second
            as the log monitor's.
        judge: ``hidden`` decides 429s by a rule drawn at the start, ``exact`` by the billed prompt and a fixed minute.
        seed: what the draw, latencies and answers derive from; None draws one.
        latency: median seconds that a model's answer takes; 0: none.
        host: the address to listen on.
        service_bus_port: the port of Service Bus; 0 takes a free one, as for the others.
        openai_port: the port of Azure OpenAI.
        blob_port: the port of Blob Storage.
        control_port: the port of `stats_url`.

    Raises:
        ValueError: an argument is outside its range.
        AddressUnavailable: on entering, a port is in use or may not be listened on.

    Example:
        >>> async with LocalAzure(queues=["in", "out"], judge="exact", latency=0.0) as azure:
        ...     os.environ |= azure.environment()
    """

    def __init__(
        self,
        queues: Iterable[Queue | Topic | str] = (),
        deployments: Iterable[Deployment] = (Deployment("gpt-4o"),),
        *,
        containers: Iterable[str] = (),
        judge: JudgeKind = "hidden",
        seed: int | None = None,
        latency: float = 0.5,
        host: str = "127.0.0.1",
        service_bus_port: int = 0,
        openai_port: int = 0,
        blob_port: int = 0,
        control_port: int = 0,
    ) -> None:
        self._containers = tuple(containers)
        self._host = host
        self._ports = {
            "Service Bus": service_bus_port,
            "Azure OpenAI": openai_port,
            "Blob Storage": blob_port,
            "stats": control_port,
        }
        self._stack = AsyncExitStack()
        self.service_bus = ServiceBus(queues, host=host, port=service_bus_port)
        self.openai = OpenAI(deployments, judge=judge, seed=seed, latency=latency, host=host, port=openai_port)
        self.blob = Blob(host=host, port=blob_port, containers=self._containers)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            with self._listening_as("Service Bus"):
                await stack.enter_async_context(self.service_bus)
            with self._listening_as("Azure OpenAI"):
                await stack.enter_async_context(self.openai)
            with self._listening_as("Blob Storage"):
                await stack.enter_async_context(self.blob)
            with self._listening_as("stats"):
                site = listening(control(self.stats), self._host, self._ports["stats"])
                self._ports["stats"] = await stack.enter_async_context(site)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def stats_url(self) -> str:
        """Where `stats` can be fetched as JSON."""
        return f"http://{self._host}:{self._ports['stats']}{STATS_PATH}"

    def environment(self) -> dict[str, str]:
        """Return the environment variables that lead Penstock's packages to the stand-ins."""
        return {
            "AZURE_OPENAI_ENDPOINT": self.openai.endpoint,
            "AZURE_OPENAI_DEPLOYMENT_NAME": self.openai.deployments[0].name,
            "AZURE_OPENAI_API_KEY": self.openai.api_key,
            "SERVICE_BUS_CONNECTION_STRING": self.service_bus.connection_string,
            "AZURE_STORAGE_CONNECTION_STRING": self.blob.connection_string,
            **dict(zip(_CONTAINER_VARIABLES, self._containers, strict=False)),
        }

    def stats(self) -> dict[str, Any]:
        """Return the stand-ins' own accounts, ready for JSON."""
        return {
            "v": 1,
            "service_bus": {"queues": self.service_bus.stats(), "faults": self.service_bus.faults.account()},
            "openai": {"deployments": self.openai.stats()},
            "blob": self.blob.stats(),
        }

    @contextmanager
    def _listening_as(self, service: str) -> Iterator[None]:
        """Say which service could not listen, and where."""
        try:
            yield
        except OSError as error:
            raise AddressUnavailable(service, self._host, self._ports[service], error) from error
