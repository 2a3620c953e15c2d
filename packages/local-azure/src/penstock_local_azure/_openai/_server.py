"""The Azure OpenAI stand-in as a server: its options, its life, its accounts."""

from collections.abc import Iterable
from contextlib import AsyncExitStack
from math import inf
from random import Random, SystemRandom
from time import monotonic
from types import TracebackType
from typing import Any, Final, Self

from penstock_local_azure._guard import Protection
from penstock_local_azure._listening import listening

from ._access import Access
from ._deployment import Deployment
from ._endpoint import Endpoint
from ._judge import JudgeKind, draw
from ._routes import Routes

API_KEY: Final = "penstock-local-azure-accepts-this-key"
"""The key unless told otherwise. It opens nothing but the stand-in, and stays the same when that starts again."""
_LATENCY_SPREAD: Final = 0.4
"""Standard deviation of the latency's logarithm."""


class OpenAI:
    """A stand-in for Azure OpenAI: an async context manager that serves chat completions while its block runs.

    Args:
        deployments: which deployments there are.
        judge: ``hidden`` decides 429s by a rule drawn at the start, ``exact`` by the billed prompt and a fixed minute.
        seed: what the draw, latencies and answers derive from; None draws one.
        latency: median seconds that an answer takes; 0: none.
        host: the address to listen on.
        port: the port to listen on; 0 takes a free one.
        api_key: what clients must show, in ``api-key`` or as a bearer token.
        protection: TLS and the check of tokens; None: plain, and only the key counts.

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
        started = monotonic()
        self._endpoints = {
            each.name: Endpoint(each, self.draw, seed=self.seed, clock=lambda: monotonic() - started)
            for each in self.deployments
        }

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            routes = Routes(self._endpoints, self._access, self._draw_latency)
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

    def stats(self) -> dict[str, dict[str, Any]]:
        """Return the accounts, deployment by deployment, ready for JSON.

        `requests` and `http_429` count what arrived and what was refused of it; `judged_tokens` and `billed_tokens`
        sum up what was admitted; `peak_use` is the highest judged sum over any sliding 60 s, as a part of `tpm`;
        `judge` tells the draw.
        """
        return {name: endpoint.stats() for name, endpoint in self._endpoints.items()}

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
