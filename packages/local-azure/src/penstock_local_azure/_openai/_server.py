"""The Azure OpenAI stand-in as a server: its options, its life, its accounts."""

from collections.abc import Iterable
from contextlib import AsyncExitStack
from math import inf
from random import Random, SystemRandom
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from penstock_local_azure._guard import Protection
from penstock_local_azure._listening import listening

from ._access import Access
from ._deployment import Deployment
from ._endpoint import Endpoint
from ._fault_script import Faults
from ._judge import JudgeKind, draw
from ._replies import Reply
from ._requests import Arrivals
from ._routes import Routes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._requests import ModelRequest

API_KEY: Final = "penstock-local-azure-accepts-this-key"
"""The key unless told otherwise. It opens nothing but the stand-in, and stays the same when that starts again."""
_LATENCY_SPREAD: Final = 0.4
"""Standard deviation of the latency's logarithm."""


class OpenAI:
    """A stand-in for Azure OpenAI: an async context manager that serves chats and embeddings while its block runs.

    Args:
        deployments: which deployments there are.
        judge: ``hidden`` decides 429s by a rule drawn at the start, ``exact`` by the billed prompt and a fixed minute.
        seed: what the draw, latencies and answers derive from; None draws one.
        latency: median seconds that an answer takes; 0: none.
        host: the address to listen on.
        port: the port to listen on; 0 takes a free one.
        api_key: what clients must show, in ``api-key`` or as a bearer token.
        protection: TLS and the check of tokens; None: plain, and only the key counts.

    Attributes:
        faults: the script of what goes wrong.
        requests: what arrived, in order, with what it said: for tests in this process; `stats` tells no contents. The
            newest 10,000 are kept, as far as their bodies take no more than 64 MiB.

    Raises:
        ValueError: an argument is outside its range.
    """

    def __init__(
        self,
        deployments: Iterable[Deployment] = (Deployment("gpt-4o"),),
        *,
        judge: JudgeKind = "hidden",
        seed: int | None = None,
        latency: float = 0.5,
        host: str = "127.0.0.1",
        port: int = 0,
        api_key: str = API_KEY,
        protection: Protection | None = None,
    ) -> None:
        self.deployments = _checked(deployments)
        if judge not in ("exact", "hidden"):
            raise ValueError(f"judge must be 'exact' or 'hidden', not {judge!r}")
        if not 0 <= latency < inf:
            raise ValueError(f"latency must be 0 or more seconds, not {latency}")
        self.seed = SystemRandom().randrange(2**32) if seed is None else seed
        self.api_key = api_key
        self.draw = draw(judge, Random(f"{self.seed}:judge"))  # noqa: S311  # reproducible on purpose
        self._latency = latency
        self._latencies = Random(f"{self.seed}:latency")  # noqa: S311  # reproducible on purpose
        self._address = (host, port)
        self._ssl_context = protection.ssl_context if protection else None
        self._access = Access(api_key, protection.guard if protection else None)
        self._stack = AsyncExitStack()
        self.faults = Faults([each.name for each in self.deployments])
        self._arrivals = Arrivals()
        self.requests: Sequence[ModelRequest] = self._arrivals
        self._started = monotonic()
        self._endpoints = {
            each.name: Endpoint(each, self.draw, seed=self.seed, clock=self._clock, faults=self.faults)
            for each in self.deployments
        }

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            routes = Routes(
                self._endpoints, self._access, self._draw_latency, clock=self._clock, requests=self._arrivals
            )
            stack.push_async_callback(routes.aclose)
            host, port = self._address
            site = listening(routes.application(), host, port, self._ssl_context)
            self._address = host, await stack.enter_async_context(site)
            routes.read_ahead()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def endpoint(self) -> str:
        """Return the URL that clients are given as their endpoint."""
        host, port = self._address
        return f"{'https' if self._ssl_context else 'http'}://{host}:{port}"

    def reply(self, deployment: str, reply: Reply) -> None:
        """Order what a deployment's chat answers say from now on, in place of what was ordered before.

        A text is the answer's text, or the arguments of the call where a tool must be called. A dict or a Pydantic
        model is answered as JSON: as the arguments of a call where the request offers tools and has called none yet,
        else as text. A fault of the script's kinds happens, once for each time it is ordered. Orders need not fit the
        schema that was asked for; like every answer they are cut off at the request's bound. A request whose answer the
        script replaces uses none up.

        Args:
            deployment: which one.
            reply: one of these for every request; a list of them, used up one by one; a function that is called with
                each `ModelRequest` and returns one of them. None, also from the function: the answer is drawn, as it is
                once a list is used up.

        Raises:
            TypeError: it is nothing that can be answered.
            ValueError: there is no such deployment, or the fault cannot be.
        """
        self._endpoint(deployment).replies.order(reply)

    def lower_tpm(self, deployment: str, tpm: int, *, seconds: float = inf) -> None:
        """Lower a deployment's limit for a time, as the service does when its capacity is short; the last word counts.

        The judge goes by it, and `x-ratelimit-limit-tokens` tells it.

        Args:
            deployment: which one.
            tpm: tokens per minute, at least 1; it never raises the limit.
            seconds: for how long from now on.

        Raises:
            ValueError: there is no such deployment, or a number is outside its range.
        """
        if tpm < 1:
            raise ValueError(f"tpm must be at least 1, not {tpm}")
        if not seconds > 0:
            raise ValueError(f"seconds must be positive, not {seconds}")
        self._endpoint(deployment).lower(tpm, seconds)

    def stats(self) -> dict[str, dict[str, Any]]:
        """Return the accounts, deployment by deployment, ready for JSON.

        `requests` and `http_429` count what arrived and what was refused of it; `judged_tokens` and `billed_tokens`
        sum up what was admitted; `peak_use` is the highest judged sum over any sliding 60 s, as a part of `tpm`;
        `faults` counts what went wrong by the script and by replies; a 429 from there is not in `http_429`. `judge`
        tells the draw.
        """
        return {name: endpoint.stats() for name, endpoint in self._endpoints.items()}

    def _endpoint(self, deployment: str) -> Endpoint:
        """Return a deployment at work."""
        if deployment not in self._endpoints:
            raise ValueError(f"deployment must be one of {', '.join(self._endpoints)}, not {deployment!r}")
        return self._endpoints[deployment]

    def _clock(self) -> float:
        """Return the seconds since the start of the run."""
        return monotonic() - self._started

    def _draw_latency(self) -> float:
        """Draw the seconds that the next answer takes."""
        return self._latency * self._latencies.lognormvariate(0, _LATENCY_SPREAD)


def _checked(deployments: Iterable[Deployment]) -> tuple[Deployment, ...]:
    """Return the deployments if their names tell them apart."""
    checked = tuple(deployments)
    if not checked:
        raise ValueError("deployments must name at least one deployment")
    if len({each.name for each in checked}) < len(checked):
        raise ValueError("deployments must not name one twice")
    return checked
