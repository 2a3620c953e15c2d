"""Azure OpenAI over HTTP: who may ask, which deployment is meant, and how answers and errors are written."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from aiohttp import web

from ._access import Access
from ._api_error import ApiError, not_implemented
from ._chat_request import read_body, read_chat_request
from ._endpoint import Endpoint

if TYPE_CHECKING:
    from ._billing import Billing

LARGEST_BODY: Final = 64 * 1024 * 1024
"""Bytes of a request's body."""

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Routes:
    """The routes of the v1 API and of the classic one.

    Args:
        endpoints: the deployments, by name.
        access: who may ask.
        latency: draws the seconds that the next answer takes.
    """

    def __init__(self, endpoints: Mapping[str, Endpoint], access: Access, latency: Callable[[], float]) -> None:
        self._endpoints = endpoints
        self._access = access
        self._latency = latency
        self._billings: dict[str, asyncio.Task[Billing]] = {}

    def application(self) -> web.Application:
        """Return the routes as an application."""
        application = web.Application(middlewares=[self._answer_errors], client_max_size=LARGEST_BODY)
        application.router.add_post("/openai/v1/chat/completions", self._chat_v1)
        application.router.add_post("/openai/deployments/{deployment}/chat/completions", self._chat_classic)
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

    async def _chat_v1(self, request: web.Request) -> web.Response:
        """Answer on the v1 route, where the body names the deployment."""
        body = read_body(await request.read())
        return await self._chat(str(body.get("model", "")), body)

    async def _chat_classic(self, request: web.Request) -> web.Response:
        """Answer on the classic route, where the path names the deployment and the query the API's version."""
        if not request.query.get("api-version"):
            raise ApiError(404, "404", "Resource not found: the query parameter 'api-version' is missing.")
        return await self._chat(request.match_info["deployment"], read_body(await request.read()))

    async def _chat(self, name: str, body: Mapping[str, Any]) -> web.Response:
        """Judge a request at once, and answer it when its latency is over."""
        if (endpoint := self._endpoints.get(name)) is None:
            raise ApiError(404, "DeploymentNotFound", "The API deployment for this resource does not exist.")
        try:
            chat = read_chat_request(body, endpoint.deployment.max_output_tokens)
            exchange = endpoint.arrive(chat, await self._billing(endpoint))
        except ApiError as error:
            error.headers |= endpoint.headers()
            raise
        headers = endpoint.headers()
        if latency := self._latency():
            await asyncio.sleep(latency)
        return _json_response(200, endpoint.complete(exchange), headers)

    async def _billing(self, endpoint: Endpoint) -> "Billing":
        """Return the bill of a deployment's model, once its vocabulary is read."""
        return await asyncio.shield(self._reading(endpoint))

    def _reading(self, endpoint: Endpoint) -> "asyncio.Task[Billing]":
        """Return the task that reads the vocabulary of a deployment's model: one serves all that share it."""
        model = endpoint.deployment.model or endpoint.deployment.name
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
    """Return an answer with an id of its own, under both names that Azure gives it."""
    ids = dict.fromkeys(("apim-request-id", "x-request-id"), str(uuid4()))
    return web.Response(status=status, body=body, content_type="application/json", headers={**headers, **ids})
