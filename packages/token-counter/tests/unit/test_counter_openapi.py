"""The description of the wire says what the wire is."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from penstock_token_client import Limits
from penstock_token_client.protocol import (
    EndAnswer,
    LockAnswer,
    LockRequest,
    ProtocolError,
    ReleaseRequest,
    ReportRequest,
    pool_path,
)
from penstock_token_counter import Access, App, TokenCounter
from penstock_token_counter._access import digest
from penstock_token_counter._desk import Desk
from penstock_token_counter._http import build_app
from penstock_token_counter._openapi import openapi_document
from penstock_token_counter._schemas import SCHEMAS
from penstock_token_counter._sole_gate import SoleGate

if TYPE_CHECKING:
    from collections.abc import Iterator

POOLS = {"completion": Limits(tpm=1000, rpm=600)}
ON_THE_WIRE = {"retry_after": "retry_after_ms"}
"""Fields that travel under another name."""

FOR_PEOPLE = re.compile(r"/|/events|/page/.*")
"""The live page, which is no part of the wire."""

BESIDES = {"v", "rate_request_id"}
"""What messages carry that is not a field of their own."""


def fields(kind: type[Any]) -> set[str]:
    return {ON_THE_WIRE.get(field.name, field.name) for field in dataclasses.fields(kind)}


def parses(kind: type[Any], message: dict[str, Any]) -> bool:
    try:
        kind.parse({name: value for name, value in message.items() if value is not None})
    except ProtocolError:
        return False
    return True


@pytest.mark.parametrize("kind", [LockRequest, LockAnswer, ReportRequest, ReleaseRequest, EndAnswer])
def test_a_schema_has_the_fields_of_its_type(kind: type[Any]) -> None:
    assert set(SCHEMAS[kind.__name__]["properties"]) - BESIDES == fields(kind)


@pytest.mark.parametrize("kind", [LockRequest, ReportRequest, ReleaseRequest])
def test_what_is_required_is_what_a_message_cannot_be_without(kind: type[Any]) -> None:
    whole = {"app_id": "a", "token_count": 1, "request_id": "b", "prompt_tokens": 1, "completion_tokens": 1}
    required = set(SCHEMAS[kind.__name__]["required"]) | ({"request_id"} if kind is ReleaseRequest else set())

    needed = {name for name in fields(kind) | {"v"} if not parses(kind, {**whole, name: None})}

    assert needed == required


def test_the_document_names_every_path_that_is_served() -> None:
    app = build_app({"completion": Desk("completion", SoleGate("completion", POOLS["completion"]))})
    served = {
        (resource.canonical.replace("/pools/completion", "/pools/{pool}"), route.method.lower())
        for resource in app.router.resources()
        for route in resource
        if route.method not in ("*", "HEAD") and not FOR_PEOPLE.fullmatch(resource.canonical)
    }

    paths = openapi_document(protected=False)["paths"]

    assert {(path, method) for path, methods in paths.items() for method in methods} == served


def test_the_pattern_of_a_pool_is_that_of_its_path() -> None:
    pattern = openapi_document(protected=False)["paths"]["/pools/{pool}/lock"]["post"]["parameters"][0]["schema"][
        "pattern"
    ]

    for name in ("completion", "gpt-4o", "a.b_c", "0", "x" * 64, "", "-a", "a/b", "a b", "ä", "x" * 65):
        try:
            pool_path(name)
        except ValueError:
            assert not re.fullmatch(pattern, name)
        else:
            assert re.fullmatch(pattern, name)


def test_every_reference_leads_somewhere() -> None:
    document = openapi_document(protected=True)

    references = {text for text in texts(document) if text.startswith("#/")}

    assert references == {f"#/components/schemas/{name}" for name in SCHEMAS}


def test_only_a_protected_counter_asks_for_a_key_and_never_for_its_health() -> None:
    guarded, free = openapi_document(protected=True), openapi_document(protected=False)

    assert free["security"] == free["paths"]["/lock"]["post"]["security"] == []
    assert guarded["security"] == [{"bearer": []}, {"basic": []}]
    assert guarded["paths"]["/lock"]["post"]["security"] == [{"bearer": []}]
    for path in ("/healthz", "/readyz", "/openapi.json"):
        assert guarded["paths"][path]["get"]["security"] == []


@pytest.mark.parametrize("access", [None, Access(apps={"a": App(keys=[digest("k")])})])
async def test_it_is_served_to_everybody(access: Access | None) -> None:
    async with (
        TokenCounter(POOLS, access=access) as counter,
        aiohttp.ClientSession() as session,
        session.get(f"{counter.url}/openapi.json") as response,
    ):
        assert response.content_type == "application/json"
        assert await response.json() == openapi_document(protected=access is not None)


def texts(part: object) -> Iterator[str]:
    """Go through all texts of a document."""
    if isinstance(part, str):
        yield part
    elif isinstance(part, dict):
        for each in part.values():
            yield from texts(each)
    elif isinstance(part, list):
        for each in part:
            yield from texts(each)
