"""What a processor asks of its session is done by the session's owner, or refused; nobody waits for ever."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.servicebus.exceptions import ServiceBusConnectionError, SessionLockLostError

from penstock_servicebus import LockLost, ServiceBusUnavailable
from penstock_servicebus._session import OwnedSession
from penstock_servicebus._wakeup import Wakeup


class ScriptedSession:
    """The SDK's session, kept in memory; fails on cue."""

    locked_until_utc = datetime(2026, 11, 26, tzinfo=UTC)

    def __init__(self) -> None:
        self.state: bytes | None = None
        self.fault: Exception | None = None
        self.calls = 0

    async def get_state(self) -> bytes | None:
        self._call()
        return self.state

    async def set_state(self, state: Any) -> None:
        self._call()
        self.state = state

    def _call(self) -> None:
        self.calls += 1
        if self.fault is not None:
            raise self.fault


@pytest.fixture
def sdk() -> ScriptedSession:
    return ScriptedSession()


@pytest.fixture
def owned(sdk: ScriptedSession) -> OwnedSession:
    stand_in: Any = sdk
    return OwnedSession(stand_in, Wakeup())


async def asked(call: Any) -> asyncio.Task[Any]:
    """A call that waits for the owner."""
    task = asyncio.create_task(call)
    await asyncio.sleep(0)
    return task


async def test_nothing_is_done_before_the_owner_does_it(owned: OwnedSession, sdk: ScriptedSession) -> None:
    setting = await asked(owned.set_state(b"kept"))
    getting = await asked(owned.get_state())
    before = sdk.calls

    await owned.answer()

    assert (before, sdk.calls) == (0, 2)
    await setting
    assert await getting == b"kept"
    assert owned.locked_until() == sdk.locked_until_utc


async def test_who_no_longer_waits_is_not_served(owned: OwnedSession, sdk: ScriptedSession) -> None:
    gone = await asked(owned.set_state(b"gone"))
    gone.cancel()
    await asyncio.wait([gone])

    await owned.answer()

    assert (sdk.calls, sdk.state) == (0, None)


@pytest.mark.parametrize(
    ("fault", "expected"), [(SessionLockLostError(), LockLost), (ServiceBusConnectionError(), ServiceBusUnavailable)]
)
async def test_a_fault_is_told_to_the_one_who_asked_and_to_the_owner(
    owned: OwnedSession, sdk: ScriptedSession, fault: Exception, expected: type[Exception]
) -> None:
    sdk.fault = fault
    getting = await asked(owned.get_state())

    with pytest.raises(expected):
        await owned.answer()
    with pytest.raises(expected):
        await getting


async def test_when_the_session_is_over_nobody_waits_on(owned: OwnedSession, sdk: ScriptedSession) -> None:
    waiting = await asked(owned.get_state())

    owned.close()

    with pytest.raises(LockLost, match="no longer held"):
        await waiting
    with pytest.raises(LockLost, match="no longer held"):
        await owned.set_state(b"late")
    assert sdk.calls == 0
