import asyncio
from unittest.mock import AsyncMock, Mock

from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request

from penstock_token_client import Limits
from penstock_token_client.protocol import LockRequest
from penstock_token_counter._access import Access
from penstock_token_counter._callers import Callers
from penstock_token_counter._desk import Desk
from penstock_token_counter._http import _lock
from penstock_token_counter._sole_gate import SoleGate

ANYBODY = Callers(Access())
JSON = {"Content-Type": "application/json"}
MESSAGE = b'{"app_id": "a", "token_count": 1000, "idempotency_key": "k"}'


def unwritable(body: bytes) -> StreamReader:
    reader = StreamReader(Mock(spec=BaseProtocol), 2**16)
    reader.feed_data(body)
    reader.feed_eof()
    return reader


# A socket tells of a lost peer too late to provoke this on a real one.
async def test_a_grant_whose_answer_cannot_be_written_goes_back_and_its_key_is_forgotten() -> None:
    desk = Desk("completion", SoleGate("completion", Limits(tpm=1000, rpm=60, headroom=0.0), assume_idle=True))
    writer = Mock(write_headers=AsyncMock(side_effect=ConnectionResetError), write_eof=AsyncMock())
    request = make_mocked_request("POST", "/lock", headers=JSON, payload=unwritable(MESSAGE), writer=writer)

    await _lock(desk, ANYBODY)(request)

    assert desk.status()["available_tokens"] == 1000
    answer, given = await desk.lock(LockRequest(app_id="a", token_count=1000, idempotency_key="k"))
    assert answer.allowed
    assert given is not None
    assert not given.grant.renewed


async def test_a_repeated_grant_stays_charged_because_an_earlier_answer_may_have_arrived() -> None:
    desk = Desk("completion", SoleGate("completion", Limits(tpm=1000, rpm=60, headroom=0.0), assume_idle=True))
    await desk.lock(LockRequest(app_id="a", token_count=1000, idempotency_key="k"))
    writer = Mock(write_headers=AsyncMock(side_effect=ConnectionResetError), write_eof=AsyncMock())
    request = make_mocked_request("POST", "/lock", headers=JSON, payload=unwritable(MESSAGE), writer=writer)

    await _lock(desk, ANYBODY)(request)

    assert desk.status()["available_tokens"] == 0


async def test_a_caller_whose_grant_did_not_arrive_keeps_its_place() -> None:
    desk = Desk(
        "completion", SoleGate("completion", Limits(tpm=1000, rpm=600, headroom=0.0, sub_window=10.0), assume_idle=True)
    )
    early, late = (LockRequest(app_id="a", token_count=1000, idempotency_key=key, wait_seconds=60) for key in "el")
    _, first = await desk.lock(LockRequest(app_id="a", token_count=1000))
    polls = [asyncio.ensure_future(desk.lock(message)) for message in (early, late)]
    await asyncio.sleep(0)
    assert first is not None
    desk.undeliverable(first)
    _, lost = await polls[0]
    assert lost is not None

    desk.undeliverable(lost)

    answer, again = await desk.lock(early)
    assert answer.allowed
    assert again is not None
    assert again.grant.id != lost.grant.id
    assert not polls[1].done()
    polls[1].cancel()
    await asyncio.wait([polls[1]])


async def test_a_grant_that_a_second_answer_brings_stays_charged_when_the_first_could_not_be_written() -> None:
    desk = Desk(
        "completion", SoleGate("completion", Limits(tpm=1000, rpm=600, headroom=0.0, sub_window=10.0), assume_idle=True)
    )
    message = LockRequest(app_id="a", token_count=1000, idempotency_key="k")
    _, first = await desk.lock(message)
    await desk.lock(message)
    assert first is not None

    desk.undeliverable(first)

    assert desk.status()["locked_tokens"] == 1000
