"""A response's bytes on their way to the reader, and the report of what they cost when they end."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Final, cast

import httpx2
import tiktoken

from penstock_token_client import CallStatus, Reservation
from penstock_tokenizers import count_off_loop, count_text

from ._meter import Meter
from ._usage import Usage

_TOO_MANY: Final = 429
_ERROR: Final = 400


class Settling:
    """Reports what one request used.

    Args:
        reservation: Under which it was sent.
        estimate: What it was expected to use.
        encoding: The deployment's, for answers that do not say what they used.
        status: The response's.
        headers: The response's.
    """

    def __init__(
        self,
        reservation: Reservation,
        estimate: Usage,
        encoding: tiktoken.Encoding,
        *,
        status: int,
        headers: Mapping[str, str],
    ) -> None:
        self._reservation = reservation
        self._estimate = estimate
        self._encoding = encoding
        self._status = status
        self._headers = headers

    async def settle(self, meter: Meter, *, complete: bool) -> None:
        """Report.

        Args:
            meter: What the answer said.
            complete: Whether it was read to its end.
        """
        used = meter.usage or await self._counted(meter, complete=complete)
        await self._reservation.report(
            prompt_tokens=used.prompt_tokens,
            completion_tokens=used.completion_tokens,
            headers=self._headers,
            status=self._call_status(meter, complete=complete),
        )

    async def _counted(self, meter: Meter, *, complete: bool) -> Usage:
        """Say what an answer without usage used: its text, or what was expected of it."""
        if self._status >= _ERROR:
            return Usage()
        if not meter.streaming:
            return self._estimate if complete else Usage()
        tokens = await count_off_loop(len(meter.text), count_text, self._encoding, meter.text)
        return Usage(prompt_tokens=self._estimate.prompt_tokens, completion_tokens=tokens)

    def _call_status(self, meter: Meter, *, complete: bool) -> CallStatus:
        """Say in the quota's words how the call ended."""
        if self._status == _TOO_MANY:
            return "429"
        if self._status >= _ERROR or not complete:
            return "error"
        return "truncated" if meter.truncated else "ok"


class MeteredStream(httpx2.AsyncByteStream):
    """Passes bytes on, reads along, and settles once: at the end, or when the reader goes away.

    Args:
        inner: The bytes.
        meter: Reads along.
        settling: Settles.
        held: The reservation, open until then.
    """

    def __init__(
        self,
        inner: httpx2.AsyncByteStream | httpx2.SyncByteStream,
        meter: Meter,
        settling: Settling,
        held: AsyncExitStack,
    ) -> None:
        self._inner = cast("httpx2.AsyncByteStream", inner)
        self._meter = meter
        self._settling = settling
        self._held: AsyncExitStack | None = held

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Pass on the bytes."""
        async for chunk in self._inner:
            self._meter.feed(chunk)
            yield chunk
        await self._end(complete=True)

    async def aclose(self) -> None:
        """Close, wherever the reader has got to."""
        try:
            await self._inner.aclose()
        finally:
            await self._end(complete=False)

    async def _end(self, *, complete: bool) -> None:
        """Settle, the first time; a reader may stop at a stream's last word, without waiting for its end."""
        held, self._held = self._held, None
        if held is not None:
            async with held:
                self._meter.end()
                await self._settling.settle(self._meter, complete=complete or self._meter.done)
