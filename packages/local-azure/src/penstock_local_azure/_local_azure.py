"""All three stand-ins at once, and the environment that leads to them."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ._blob import Blob
from ._control import STATS_PATH, control
from ._errors import AddressUnavailable
from ._listening import listening
from ._openai import Deployment, JudgeKind, OpenAI
from ._service_bus import Queue, ServiceBus, Topic

if TYPE_CHECKING:
    from ._guard import Protection
    from ._identity import Identity, Service, Trust

_CONTAINER_VARIABLES = ("AZURE_STORAGE_CONTAINER", "LOGS_CONTAINER")


class LocalAzure:
    """Service Bus, Azure OpenAI and Blob Storage on loopback, as an async context manager.

    They serve while its block runs; when it ends, their ports are free and what they held in memory is gone. They are
    stand-ins: no secret protects them, and what Penstock does not use of Azure is refused by name.

    With ``tls=True`` they are served over TLS, certified by a throwaway CA, and take nothing but tokens: issued by a
    local managed identity for the service in question, and not expired. `environment` then leads to that identity, too,
    so that `DefaultAzureCredential` works in every process that has it.

    Args:
        queues: what the Service Bus namespace contains, topics included; a name stands for a queue with the service's
            defaults.
        deployments: what the Azure OpenAI resource contains; `environment` names the first one.
        containers: what the storage account contains; `environment` names the first one as the uploader's, the second
            as the log monitor's.
        judge: ``hidden`` decides 429s by a rule drawn at the start, ``exact`` by the billed prompt and a fixed minute.
        seed: what the draw, latencies and answers derive from; None draws one.
        latency: median seconds that a model's answer takes; 0: none.
        tls: whether to serve over TLS and check tokens.
        token_lifetime: seconds for which a token is good, at least 1. Azure's clients renew a token ahead of time only
            if it lives for minutes; a shorter one expires in their hands.
        accept_keys: whether keys open the services, too, when tokens are checked.
        blob_directory: where to keep blobs, so that they take no memory and are there again next time; None: in memory,
            for this time only.
        host: the address to listen on.
        service_bus_port: the port of Service Bus; 0 takes a free one, as for the others.
        openai_port: the port of Azure OpenAI.
        blob_port: the port of Blob Storage.
        control_port: the port of `stats_url`.
        identity_port: the port of the local managed identity.

    Raises:
        ValueError: an argument is outside its range.
        AddressUnavailable: on entering, a port is in use or may not be listened on.
        DirectoryUnavailable: on entering, ``blob_directory`` is in use or cannot be used.

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
        tls: bool = False,
        token_lifetime: float = 3600.0,
        accept_keys: bool = False,
        blob_directory: Path | str | None = None,
        host: str = "127.0.0.1",
        service_bus_port: int = 0,
        openai_port: int = 0,
        blob_port: int = 0,
        control_port: int = 0,
        identity_port: int = 0,
    ) -> None:
        self._containers = tuple(containers)
        self._host = host
        self._ports = {
            "Service Bus": service_bus_port,
            "Azure OpenAI": openai_port,
            "Blob Storage": blob_port,
            "stats": control_port,
            "the local identity": identity_port,
        }
        self._stack = AsyncExitStack()
        self._trust = _trust(host, identity_port, token_lifetime, accept_keys=accept_keys) if tls else None
        protect: Callable[[Service], Protection | None] = self._trust.protect if self._trust else lambda _: None
        self.service_bus = ServiceBus(queues, host=host, port=service_bus_port, protection=protect("service_bus"))
        self.openai = OpenAI(
            deployments,
            judge=judge,
            seed=seed,
            latency=latency,
            host=host,
            port=openai_port,
            protection=protect("openai"),
        )
        self.blob = Blob(
            host=host,
            port=blob_port,
            containers=self._containers,
            directory=blob_directory,
            protection=protect("blob"),
        )

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            if self._trust is not None:
                with self._listening_as("the local identity"):
                    await stack.enter_async_context(self._trust)
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

    @property
    def identity(self) -> "Identity":
        """The local managed identity, whose tokens the stand-ins take.

        Raises:
            RuntimeError: there is none without ``tls=True``.
        """
        return self._secured().identity

    @property
    def ca_file(self) -> Path:
        """The certificate of the throwaway CA, in PEM; the file is there while the block runs.

        Raises:
            RuntimeError: there is none without ``tls=True``, or not yet.
        """
        return self._secured().ca_file

    def environment(self) -> dict[str, str]:
        """Return the environment variables that lead Penstock's packages to the stand-ins: by keys, or by identity."""
        first = self.openai.deployments[0]
        return {
            "AZURE_OPENAI_ENDPOINT": self.openai.endpoint,
            "AZURE_OPENAI_DEPLOYMENT_NAME": first.name,
            **({} if first.model is None else {"AZURE_OPENAI_MODEL": first.model}),
            **(self._environment_of_keys() if self._trust is None else self._environment_of_identity(self._trust)),
            **dict(zip(_CONTAINER_VARIABLES, self._containers, strict=False)),
        }

    def _environment_of_keys(self) -> dict[str, str]:
        return {
            "AZURE_OPENAI_API_KEY": self.openai.api_key,
            "SERVICE_BUS_CONNECTION_STRING": self.service_bus.connection_string,
            "AZURE_STORAGE_CONNECTION_STRING": self.blob.connection_string,
        }

    def _environment_of_identity(self, trust: "Trust") -> dict[str, str]:
        return {
            "SERVICE_BUS_NAMESPACE": self.service_bus.endpoint,
            "AZURE_STORAGE_ACCOUNT": self.blob.account_url,
            **trust.environment(),
        }

    def stats(self) -> dict[str, Any]:
        """Return the stand-ins' own accounts, ready for JSON."""
        return {
            "v": 1,
            "service_bus": {"queues": self.service_bus.stats(), "faults": self.service_bus.faults.account()},
            "openai": {"deployments": self.openai.stats()},
            "blob": self.blob.stats(),
            **({} if self._trust is None else {"identity": self._trust.identity.stats()}),
        }

    def _secured(self) -> "Trust":
        if self._trust is None:
            raise RuntimeError("there is no identity and no CA without tls=True")
        return self._trust

    @contextmanager
    def _listening_as(self, service: str) -> Iterator[None]:
        """Say which service could not listen, and where."""
        try:
            yield
        except OSError as error:
            raise AddressUnavailable(service, self._host, self._ports[service], error) from error


def _trust(host: str, port: int, token_lifetime: float, *, accept_keys: bool) -> "Trust":
    """Make a CA and an identity."""
    from ._identity import Identity, Trust  # noqa: PLC0415  # cryptography is slow to import, and only needed here

    return Trust(host, Identity(host=host, port=port, token_lifetime=token_lifetime, accept_keys=accept_keys))
