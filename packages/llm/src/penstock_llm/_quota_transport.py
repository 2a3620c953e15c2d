"""A transport under quota: whatever library sends through it, each request has a reservation of its own."""

import asyncio
import json
from collections.abc import Awaitable, Mapping
from contextlib import AsyncExitStack
from typing import Final

import httpx2
import tiktoken

from penstock_token_client import Quota, QuotaError, Reservation
from penstock_tokenizers import count_off_loop, encoding_for

from ._boundary import NEVER_SENT
from ._checks import check_number, check_seconds
from ._errors import NotSent
from ._meter import Meter
from ._metered_stream import MeteredStream, Settling
from ._request_cost import RequestCost, read_request
from ._usage import Usage

DEFAULT_MAX_COMPLETION_TOKENS: Final = 1024
FALLBACK: Final = "o200k_base"
"""For a request that names no deployment."""


class QuotaTransport(httpx2.AsyncBaseTransport):
    """Puts every request of an `AsyncOpenAI` client, and so any library built on it, under a quota.

    A request's cost is estimated from its body and reserved before it is sent, also when the library sends it again;
    what it used is reported with the response's headers, for a stream when it ends or its reader stops. The
    reservation's id travels in the header ``x-ms-client-request-id``. Requests that cost no tokens pass through.

    Args:
        quota: Where to reserve. What is given here stays open.
        transport: What sends. Default: httpx2's own; it is closed with this one.
        pools: Deployment to quota, for deployments that do not draw on ``quota``, such as those of embeddings.
        encodings: Deployment to model or encoding, for deployments whose names do not say their model.
        max_completion_tokens: The largest answer, in tokens, for requests that do not say one; it is added to them.
        deadline: Seconds that one request may wait for quota; None: as long as it takes.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(
        self,
        quota: Quota,
        transport: httpx2.AsyncBaseTransport | None = None,
        *,
        pools: Mapping[str, Quota] | None = None,
        encodings: Mapping[str, str] | None = None,
        max_completion_tokens: int = DEFAULT_MAX_COMPLETION_TOKENS,
        deadline: float | None = None,
    ) -> None:
        check_number("max_completion_tokens", max_completion_tokens, least=1)
        check_seconds("deadline", deadline)
        self._quota = quota
        self._transport = transport or httpx2.AsyncHTTPTransport()
        self._pools = pools or {}
        self._mapping = encodings
        self._max_completion_tokens = max_completion_tokens
        self._deadline = deadline
        self._encodings: dict[str, tiktoken.Encoding] = {}

    async def aclose(self) -> None:
        """Close the transport that sends."""
        await self._transport.aclose()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Reserve, send, and report when the response has been read.

        Raises:
            NotSent: There was no quota, or part of the request cannot be counted.
        """
        cost = read_request(request.url.path, await request.aread()) if request.method == "POST" else None
        if cost is None:
            return await self._transport.handle_async_request(request)
        encoding = await self._encoding(cost.deployment)
        limit = cost.limit if cost.limit is not None else self._max_completion_tokens
        estimate = Usage(
            prompt_tokens=await _counted(cost, encoding, len(request.content)), completion_tokens=limit * cost.choices
        )
        async with AsyncExitStack() as held:
            reservation = await self._reserved(cost.deployment, estimate, held)
            prepared = _prepared(request, cost, limit, reservation.request_id)
            response = await _sent(self._transport.handle_async_request(prepared), reservation)
            settling = Settling(
                reservation, estimate, encoding, status=response.status_code, headers=dict(response.headers)
            )
            meter = Meter(streaming=cost.streaming)
            response.stream = MeteredStream(response.stream, meter, settling, held.pop_all())
            return response

    async def _encoding(self, deployment: str) -> tiktoken.Encoding:
        """Return a deployment's encoding, which takes a few tenths of a second to build the first time."""
        if deployment not in self._encodings:
            name = deployment or FALLBACK
            self._encodings[deployment] = await asyncio.to_thread(encoding_for, name, self._mapping)
        return self._encodings[deployment]

    async def _reserved(self, deployment: str, estimate: Usage, held: AsyncExitStack) -> Reservation:
        """Reserve what a request will cost at most."""
        quota = self._pools.get(deployment, self._quota)
        reserving = quota.reserve(estimate.total_tokens, max_tokens=estimate.completion_tokens, deadline=self._deadline)
        try:
            return await held.enter_async_context(reserving)
        except QuotaError as error:
            raise NotSent(
                str(error),
                permanent=error.permanent,
                environment=error.environment,
                retry_after=error.retry_after,
            ) from error


async def _counted(cost: RequestCost, encoding: tiktoken.Encoding, size: int) -> int:
    """Count a prompt."""
    try:
        return await count_off_loop(size, cost.prompt_tokens, encoding)
    except ValueError as error:
        raise NotSent(str(error), permanent=True) from error


async def _sent(sending: Awaitable[httpx2.Response], reservation: Reservation) -> httpx2.Response:
    """Send; without a response give back what was never sent, and keep charged what may have been."""
    try:
        return await sending
    except NEVER_SENT:
        await reservation.release()
        raise
    except httpx2.TransportError:
        await reservation.report(prompt_tokens=0, completion_tokens=0, status="error")
        raise


def _prepared(request: httpx2.Request, cost: RequestCost, limit: int, request_id: str) -> httpx2.Request:
    """Return the request as it is sent: with the reservation's id, an answer that can be read, and its largest size."""
    headers = {**request.headers, "x-ms-client-request-id": request_id, "accept-encoding": "identity"}
    content = request.content
    if cost.limit is None and cost.limit_name is not None:
        content = json.dumps({**cost.body, cost.limit_name: limit}).encode()
    headers["content-length"] = str(len(content))
    return httpx2.Request(request.method, request.url, headers=headers, content=content, extensions=request.extensions)
