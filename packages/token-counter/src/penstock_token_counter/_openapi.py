"""``GET /openapi.json``: the whole wire as an OpenAPI 3.1 document, the same for every counter of a version."""

from __future__ import annotations

import copy
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from penstock_token_client.protocol import DEFAULT_POOL, TICKET_HEADER

from ._answers import LARGEST_BODY, answer
from ._schemas import SCHEMAS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aiohttp import web

    from ._answers import Handler

    Part = dict[str, Any]

_REFUSALS = {
    "400": "A field is wrong; the answer names it.",
    "401": "A key is needed, or the one that was sent is not known.",
    "403": "The key is another app's, or the app may not use the pool.",
    "404": "There is no such pool, or no such app.",
    "408": "The body did not come in time.",
    "413": f"The body is longer than {LARGEST_BODY} bytes.",
    "415": "The body does not say that it is JSON.",
    "429": "The caller asks too often.",
    "503": "The journal or the store cannot be used, or the keys of Entra ID cannot be had.",
}
_HEADERS = {
    "401": {"WWW-Authenticate": "How to say who asks."},
    "429": {"Retry-After": "Seconds."},
    "503": {"Retry-After": "Seconds."},
}
_PLACE = {TICKET_HEADER: "The ticket of a caller who waits. The headers come at once, and the body later."}
_ON_MESSAGES = ("400", "401", "403", "404", "408", "413", "415", "429", "503")
_ON_READING = ("401", "403", "429", "503")
_BROKEN = "A fault has ended what serves a shared pool: the process must be started anew."
_NOT_READY = "The journal is replayed, the store cannot be used, or the counter stops."
_METRICS = ("text/plain", "application/openmetrics-text")
_POOL = {
    "name": "pool",
    "in": "path",
    "required": True,
    "description": "The pool's name.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", "examples": [DEFAULT_POOL]},
}
_MESSAGES = {
    "lock": ("LockRequest", "LockAnswer", "Ask for quota, and wait for it if wait_seconds says so."),
    "report": ("ReportRequest", "EndAnswer", "Say what a granted request used."),
    "release": ("ReleaseRequest", "EndAnswer", "Give back quota for a request that was never sent."),
}


def openapi(*, protected: bool) -> Handler:
    """Serve ``GET /openapi.json``."""
    document = openapi_document(protected=protected)

    async def openapi(_: web.Request) -> web.StreamResponse:
        return answer(document)

    return openapi


def openapi_document(*, protected: bool) -> Part:
    """Describe the wire.

    Args:
        protected: Whether callers must say who they are.
    """
    paths: Part = {}
    for call in _MESSAGES:
        paths[f"/{call}"] = {"post": _message(call, protected=protected)}
        paths[f"/pools/{{pool}}/{call}"] = {"post": _message(call, _POOL, protected=protected)}
    paths["/status"] = {"get": _status(_queried(_POOL))}
    paths["/pools/{pool}/status"] = {"get": _status(_POOL)}
    paths["/pools"] = {"get": _reading("pools", "How every pool stands.", _json("Statuses"))}
    paths["/metrics"] = {"get": _reading("metrics", "Every pool in Prometheus' words.", _plain(*_METRICS))}
    paths["/healthz"] = {"get": _probe("healthz", "Whether the process is alive.", "Alive", _BROKEN)}
    paths["/readyz"] = {"get": _probe("readyz", "Whether locks are answered.", "Ready", _NOT_READY)}
    paths["/openapi.json"] = {"get": _open("openapi", "This document.", _json(None))}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Penstock token counter",
            "version": version("penstock-token-counter"),
            "summary": "Hands out the quota of Azure OpenAI deployments to a fleet of workers.",
            "description": "A pool named embedding is also served below /embedding, as earlier counters did.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"basic": []}] if protected else [],
        "paths": paths,
        "components": {
            "schemas": copy.deepcopy(SCHEMAS),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An app's key, or its token of Entra ID.",
                },
                "basic": {"type": "http", "scheme": "basic", "description": "The key as the password; to read only."},
            },
        },
    }


def _message(call: str, *parameters: Part, protected: bool) -> Part:
    """Describe a call that carries a message."""
    request, said, summary = _MESSAGES[call]
    return {
        "operationId": f"{call}_in_pool" if parameters else call,
        "summary": summary,
        "security": [{"bearer": []}] if protected else [],
        "parameters": list(parameters),
        "requestBody": {"required": True, **_json(request)},
        "responses": {
            "200": {
                "description": SCHEMAS[said]["description"],
                "headers": _headers(_PLACE if call == "lock" else {}, required=False),
                **_json(said),
            },
            **_refusals(_ON_MESSAGES),
        },
    }


def _status(pool: Part) -> Part:
    """Describe how a pool's status is read."""
    part = _reading("status_of_pool" if pool["in"] == "path" else "status", "How a pool stands.", _json("Status"))
    return {**part, "parameters": [pool], "responses": {**part["responses"], **_refusals(("404",))}}


def _reading(name: str, summary: str, content: Part) -> Part:
    """Describe a path that every known caller may read."""
    return {
        "operationId": name,
        "summary": summary,
        "responses": {"200": {"description": summary, **content}, **_refusals(_ON_READING)},
    }


def _open(name: str, summary: str, content: Part) -> Part:
    """Describe a path that anybody may read."""
    return {
        "operationId": name,
        "summary": summary,
        "security": [],
        "responses": {"200": {"description": summary, **content}},
    }


def _probe(name: str, summary: str, schema: str, failing: str) -> Part:
    """Describe what supervisors ask."""
    part = _open(name, summary, _json(schema))
    return {**part, "responses": {**part["responses"], "503": {"description": failing, **_json(schema)}}}


def _queried(pool: Part) -> Part:
    """Describe a parameter of a path as one of a query."""
    return {**pool, "in": "query", "required": False}


def _refusals(statuses: Iterable[str]) -> Part:
    """Describe what a refusal looks like, by its status."""
    return {
        status: {
            "description": _REFUSALS[status],
            "headers": _headers(_HEADERS.get(status, {}), required=True),
            **_json("Refusal"),
        }
        for status in statuses
    }


def _headers(texts: Mapping[str, str], *, required: bool) -> Part:
    """Describe headers, by their names."""
    return {
        name: {"description": text, "required": required, "schema": {"type": "string"}} for name, text in texts.items()
    }


def _json(schema: str | None) -> Part:
    """Describe a body of JSON."""
    described = {"type": "object"} if schema is None else {"$ref": f"#/components/schemas/{schema}"}
    return {"content": {"application/json": {"schema": described}}}


def _plain(*media_types: str) -> Part:
    """Describe a body of text."""
    return {"content": {media_type: {"schema": {"type": "string"}} for media_type in media_types}}
