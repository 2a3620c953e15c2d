"""One SDK sender or receiver that is opened on first use and made anew after a fault."""

import asyncio
import logging
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from penstock_servicebus._errors import ServiceBusUnavailable, mapped
from penstock_servicebus._sdk_internals import Wire

_logger = logging.getLogger(__name__)

_OPEN_WITHIN = 30.0  # s; the SDK itself may wait for ever for a peer that accepts and then says nothing
_CLOSE_WITHIN = 5.0  # s; a broken link may hang in its own farewell
_FIRST_DELAY = 0.5
_MAX_DELAY = 30.0


class _Closeable(Protocol):
    async def __aenter__(self) -> object: ...

    async def close(self) -> None: ...


EndT = TypeVar("EndT", bound=_Closeable)


class Link(Generic[EndT]):
    """The one sender or receiver of its owner.

    Args:
        name: What it is and where, for people: `receiver of orders at ns.servicebus.windows.net`.
        make: Makes a new, unopened one.
        random: Jitter in [0, 1).
    """

    def __init__(self, name: str, make: Callable[[], EndT], random: Callable[[], float]) -> None:
        self._name = name
        self._make = make
        self._random = random
        self._end: EndT | None = None
        self._wire: Wire | None = None
        self._faults = 0
        self.delay = 0.0
        """Seconds to wait after the last fault before trying again."""

    async def get(self) -> EndT:
        """The open end, opening it if need be.

        Raises:
            ServiceBusUnavailable: It cannot be opened now.
        """
        if self._end is None:
            self._end, self._wire = await self._open()
        return self._end

    async def _open(self) -> tuple[EndT, Wire]:
        """Make and open a new end."""
        with mapped(f"open {self._name}"):
            end = self._make()
            wire = Wire(end)
            opening = asyncio.ensure_future(end.__aenter__())
            try:
                async with asyncio.timeout(_OPEN_WITHIN):
                    await asyncio.shield(opening)
            except BaseException:
                await _give_up(opening, wire)
                raise
        return end, wire

    def works(self) -> None:
        """The end did its work: the next fault is a first one."""
        self._faults = 0

    async def broke(self, error: ServiceBusUnavailable) -> None:
        """Take note of a fault and throw the end away."""
        backoff = min(_FIRST_DELAY * 2.0 ** min(self._faults, 16), _MAX_DELAY)
        self.delay = backoff * (0.8 + 0.4 * self._random())
        self._faults += 1
        _logger.warning("%s: %s; trying again in %.1f s", self._name, error, self.delay)
        await self.close()

    async def close(self) -> None:
        """Close the end, if there is one; a dead one fails in as many ways as the SDK has layers."""
        end, self._end = self._end, None
        wire, self._wire = self._wire, None
        if end is None or wire is None:
            return
        for farewell in (end.close, wire.cut):
            try:
                async with asyncio.timeout(_CLOSE_WITHIN):
                    await farewell()
            except Exception:
                _logger.debug("closing %s failed", self._name, exc_info=True)


async def _give_up(opening: asyncio.Future[object], wire: Wire) -> None:
    """End an opening: when cancelled the SDK says farewell, without end on a silent line, until that is cut."""
    opening.cancel()
    await wire.cut()
    done, _ = await asyncio.wait([opening], timeout=_CLOSE_WITHIN)
    for ended in done:
        if not ended.cancelled() and (error := ended.exception()) is not None:
            _logger.debug("giving up an opening ended with %s", type(error).__name__)
