"""Azure OpenAI over HTTP: who may ask, which deployment is meant, and how answers and errors are written."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from aiohttp import web

from penstock_local_azure._http_faults import LateAnswer

from ._access import Access
from ._api_error import ApiError, not_implemented
from ._bodies import read_body
from ._delivery import deliver
from ._endpoint import Endpoint, Exchange
from ._fault_script import Operation
from ._requests import Arrivals, ModelRequest

if TYPE_CHECKING:
    from ._billing import Billing

LARGEST_BODY: Final = 64 * 1024 * 1024
"""Bytes of a request's body."""

_OPERATIONS: Final[Mapping[Operation, str]] = {"chat": "chat/completions", "embeddings": "embeddings"}

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Routes:
    """The routes of the v1 API and of the classic one.

    Args:
        endpoints: the deployments, by name.
        access: who may ask.
        latency: draws the seconds that the next answer takes.
        clock: seconds since the start of the run.
        requests: where to note what arrives.
    """

    def __init__(
        self,
        endpoints: Mapping[str, Endpoint],
        access: Access,
        latency: Callable[[], float],
        *,
        clock: Callable[[], float],
        requests: Arrivals,
    ) -> None:
        self._endpoints = endpoints
        self._access = access
        self._latency = latency
        self._clock = clock
        self._requests = requests
        self._billings: dict[str, asyncio.Task[Billing]] = {}

    def application(self) -> web.Application:
        """Return the routes as an application."""
        application = web.Application(middlewares=[self._answer_errors], client_max_size=LARGEST_BODY)
        for operation, path in _OPERATIONS.items():
            application.router.add_post(f"/openai/v1/{path}", partial(self._v1, operation))
            application.router.add_post(f"/openai/deployments/{{deployment}}/{path}", partial(self._classic, operation))
        application.router.add_route("*", "/openai/{operation:.*}", self._not_implemented)
        return application

    def read_ahead(self) -> None:
        """Begin to read what bills are counted with, so that no request is judged later than it arrived."""
        for endpoint in self._endpoints.values():
            self._reading(endpoint)

    async def aclose(self) -> None:
        """Wait for vocabularies that are still being read: a thread cannot be stopped."""
        if self._billings:
            await asyncio.wait(self._billings.values())

    async def _v1(self, operation: Operation, http: web.Request) -> web.StreamResponse:
        """Answer on the v1 route, where the body names the deployment."""
        body = read_body(await http.read())
        return await self._serve(http, operation, str(body.get("model", "")), body)

    async def _classic(self, operation: Operation, http: web.Request) -> web.StreamResponse:
        """Answer on the classic route, where the path names the deployment and the query the API's version."""
        if not http.query.get("api-version"):
            raise ApiError(404, "404", "Resource not found: the query parameter 'api-version' is missing.")
        return await self._serve(http, operation, http.match_info["deployment"], read_body(await http.read()))

    async def _serve(
        self, http: web.Request, operation: Operation, deployment: str, body: Mapping[str, Any]
    ) -> web.StreamResponse:
        """Judge a request at once, and answer it when its latency is over."""
        ids = _ids()
        request = ModelRequest(
            id=http.headers.get("x-ms-client-request-id") or ids["x-request-id"],
            operation=operation,
            deployment=deployment,
            at=self._clock(),
            raw=await http.read(),
        )
        self._requests.note(request)
        try:
            endpoint, exchange = await self._judged(request, body)
        except ApiError as error:
            request.status = error.status
            error.headers |= ids
            raise
        headers = endpoint.headers(exchange.fault) | ids
        late = exchange.fault.seconds if isinstance(exchange.fault, LateAnswer) else 0.0
        if latency := self._latency() + late:
            await asyncio.sleep(latency)
        endpoint.complete(exchange)
        return await deliver(http, exchange, headers)

    async def _judged(self, request: ModelRequest, body: Mapping[str, Any]) -> tuple[Endpoint, Exchange]:
        """Judge a request; an error answer of a deployment tells its limits, too."""
        if (endpoint := self._endpoints.get(request.deployment)) is None:
            raise ApiError(404, "DeploymentNotFound", "The API deployment for this resource does not exist.")
        try:
            return endpoint, endpoint.arrive(request, body, await self._billing(endpoint))
        except ApiError as error:
            error.headers |= endpoint.headers()
            raise

    async def _billing(self, endpoint: Endpoint) -> "Billing":
        """Return the bill of a deployment's model, once its vocabulary is read."""
        return await asyncio.shield(self._reading(endpoint))

    def _reading(self, endpoint: Endpoint) -> "asyncio.Task[Billing]":
        """Return the task that reads the vocabulary of a deployment's model: one serves all that share it."""
        model = endpoint.deployment.model_name
        if model not in self._billings:
            self._billings[model] = asyncio.create_task(asyncio.to_thread(_read_billing, model))
        return self._billings[model]

    async def _not_implemented(self, request: web.Request) -> web.Response:
        """Refuse, by name, what this stand-in does not do."""
        raise not_implemented(f"{request.method} /openai/{request.match_info['operation']}")

    @web.middleware
    async def _answer_errors(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Check who asks, and write errors in Azure's form."""
        try:
            self._access.authorise(request.headers)
            return await handler(request)
        except ApiError as error:
            return _json_response(error.status, json.dumps(error.body()).encode(), error.headers)
        except web.HTTPException as error:
            shaped = ApiError(error.status, str(error.status), f"{error.reason}.")
            return _json_response(shaped.status, json.dumps(shaped.body()).encode(), {})


def _read_billing(model: str) -> "Billing":
    """Read what a model's bill is counted with: half a second's work that the start must not wait for."""
    from ._billing import Billing  # noqa: PLC0415  # the tokenizers' import is part of that work

    return Billing(model)


def _json_response(status: int, body: bytes, headers: Mapping[str, str]) -> web.Response:
    """Return an error answer, with an id of its own unless it has one."""
    return web.Response(status=status, body=body, content_type="application/json", headers={**_ids(), **headers})


def _ids() -> dict[str, str]:
    """Draw an answer's id, under both names that Azure gives it."""
    return dict.fromkeys(("apim-request-id", "x-request-id"), str(uuid4()))
