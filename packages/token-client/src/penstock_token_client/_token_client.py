"""The client of a token counter."""

from __future__ import annotations

import asyncio
import logging
import random
import time
import uuid
from typing import TYPE_CHECKING, Any, Self

from ._arguments import check_reserve, count_fault
from ._asking import Asking, Patience
from ._connection import CallError, Connection
from ._quota import Lock
from ._reservation import Held, holding
from ._settings import address, given, variable
from ._usage import Usage
from .protocol import DEFAULT_POOL, EndAnswer, LockAnswer, LockRequest, ReleaseRequest, ReportRequest, pool_path

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from ._connection import Credential
    from ._quota import Reservation

_log = logging.getLogger(__name__)

_WITHDRAW_WITHIN = 2.0
"""Seconds that closing a client may be held up by a wish that is withdrawn."""


class TokenClient:
    """Asks a token counter for a share of the quota that the whole fleet uses.

    It opens one HTTP session when it is first used, belongs to the event loop that used it first, and must be closed:
    ``async with TokenClient("feedback") as client``, or `aclose`.

    Args:
        app_id: The name under which this app is counted.
        base_url: The counter's address. None takes ``TOKEN_COUNTER_URL``, or ``http://localhost:8001``.
        pool: The pool to draw from, which stands for one deployment.
        key: The counter's key. None takes ``TOKEN_COUNTER_KEY``, or sends none.
        credential: An asynchronous Entra ID credential, instead of a key.
        scope: The scope of the credential's tokens, such as ``api://token-counter/.default``.
        timeout: Seconds for connecting, and for an answer beyond the time a poll may be held back.

    Raises:
        TypeError: ``app_id`` is no text.
        ValueError: An argument or a variable makes no sense.
    """

    def __init__(
        self,
        app_id: str,
        base_url: str | None = None,
        *,
        pool: str = DEFAULT_POOL,
        key: str | None = None,
        credential: Credential | None = None,
        scope: str | None = None,
        timeout: float = 10.0,
    ) -> None:
        if not isinstance(app_id, str):
            raise TypeError(f"app_id must be a text, not {type(app_id).__name__}")
        if not app_id.strip():
            raise ValueError("app_id must not be blank")
        if key and credential is not None:
            raise ValueError("give either key or credential, not both")
        if credential is not None and not scope:
            raise ValueError("credential needs scope, the scope of its tokens")
        if not timeout > 0:
            raise ValueError("timeout must be a positive number of seconds")
        self.app_id = app_id
        self.base_url = address(base_url)
        self.pool = pool
        self._connection = Connection(
            self.base_url,
            pool_path(pool),
            timeout=timeout,
            key=None if credential is not None else given(key) or variable("TOKEN_COUNTER_KEY"),
            credential=credential,
            scope=scope or "",
        )
        self._undoing: set[asyncio.Task[None]] = set()
        self._left_unreported = 0

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.aclose()

    def __repr__(self) -> str:
        """Name the app and the pool."""
        return f"<TokenClient {self.app_id!r} at {self.base_url}, pool {self.pool!r}>"

    @property
    def unreported(self) -> int:
        """How many reservations ended without the counter learning what they used."""
        return self._left_unreported

    def reserve(
        self, token_count: int, *, max_tokens: int = 0, requests: int = 1, deadline: float | None = None
    ) -> AbstractAsyncContextManager[Reservation]:
        """Wait for quota and hold it for one call; see `Quota.reserve`.

        It waits over a counter that is restarted, stalled, or behind a proxy that cuts connections. The answer that is
        under way when the deadline passes is awaited for up to one second more.
        """
        return holding(self._obtain(token_count, max_tokens, requests, deadline))

    async def lock_tokens(self, token_count: int) -> Lock:
        """Ask once, without waiting; a fault is an answer too, with text in ``error``."""
        fault = count_fault("token_count", token_count)
        if fault:
            return Lock(allowed=False, error=fault, code="invalid")
        wish = LockRequest(app_id=self.app_id, token_count=token_count, idempotency_key=uuid.uuid4().hex)
        answered = False
        try:
            answer = LockAnswer.read(await self._connection.post("lock", wish.to_json()))
            answered = True
        except CallError as error:
            return Lock(allowed=False, error=str(error), code="unavailable")
        finally:
            if not answered:
                self._undo(wish)
        return _lock(answer, wish)

    async def report_usage(self, request_id: str, prompt_tokens: int, completion_tokens: int) -> bool:
        """Report what a locked request used; False if the counter did not take it or does not know the id any more."""
        if count_fault("prompt_tokens", prompt_tokens) or count_fault("completion_tokens", completion_tokens):
            return False
        usage = Usage(prompt_tokens=prompt_tokens, completion_tokens=completion_tokens)
        return bool(_is_id(request_id) and await self.settle(request_id, usage))

    async def release_tokens(self, request_id: str) -> bool:
        """Give back a lock whose request was never sent; False as in `report_usage`."""
        return bool(_is_id(request_id) and await self.give_back(request_id))

    async def get_status(self) -> dict[str, Any] | None:
        """Return how the pool stands, or None if the counter does not answer."""
        try:
            return await self._connection.get("status")
        except CallError:
            return None

    async def aclose(self) -> None:
        """Finish what is under way in the background, and close the session."""
        await asyncio.gather(*self._undoing)
        await self._connection.aclose()

    async def settle(self, request_id: str, usage: Usage) -> bool | None:
        """Tell the counter what a reservation used."""
        report = ReportRequest(
            app_id=self.app_id,
            request_id=request_id,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            status=usage.status,
            ratelimit=usage.ratelimit,
        )
        return await self._tell("report", report.to_json())

    async def give_back(self, request_id: str) -> bool | None:
        """Tell the counter that a reservation's request was never sent."""
        return await self._tell("release", ReleaseRequest(app_id=self.app_id, request_id=request_id).to_json())

    def count_unreported(self) -> None:
        """Count a reservation whose use the counter does not learn."""
        self._left_unreported += 1

    async def _obtain(self, token_count: int, max_tokens: int, requests: int, deadline: float | None) -> Held:
        """Wait for a grant; one that arrives at a cancelled caller goes back."""
        check_reserve(token_count, max_tokens, requests, deadline)
        wish = LockRequest(
            app_id=self.app_id,
            token_count=token_count,
            max_tokens=max_tokens,
            requests=requests,
            idempotency_key=uuid.uuid4().hex,
        )
        asking = Asking(
            self._connection, wish, patience=Patience(random.random), clock=time.monotonic, deadline=deadline
        )
        try:
            answer = await asking.run()
        finally:
            if asking.pending:
                self._undo(wish)
        return Held(
            self,
            answer.request_id or str(wish.idempotency_key),
            waited=asking.waited,
            suggested_max_tokens=answer.suggested_max_tokens,
        )

    async def _tell(self, call: str, message: dict[str, Any]) -> bool | None:
        """Bring news, and once more if the connection broke: the counter takes both as one."""
        try:
            try:
                data = await self._connection.post(call, message)
            except CallError as fault:
                if not fault.broken:
                    raise
                data = await self._connection.post(call, message)
        except CallError as fault:
            _log.info("the token counter did not take a %s: %s", call, fault)
            return None
        answer = EndAnswer.read(data)
        return answer.success and answer.known

    def _undo(self, wish: LockRequest) -> None:
        """Tell the counter, in the background, that nobody waits for a wish any more."""
        message = ReleaseRequest(app_id=self.app_id, idempotency_key=wish.idempotency_key).to_json()
        task = asyncio.get_running_loop().create_task(self._withdraw(message))
        self._undoing.add(task)
        task.add_done_callback(self._undoing.discard)

    async def _withdraw(self, message: dict[str, Any]) -> None:
        """Withdraw a wish; without an answer the counter finds out by itself."""
        try:
            await self._connection.post("release", message, within=_WITHDRAW_WITHIN)
        except CallError as fault:
            _log.debug("a wish was not withdrawn: %s", fault)


def _lock(answer: LockAnswer, wish: LockRequest) -> Lock:
    """Turn an answer into a `Lock`; a grant without an id goes by the key that was sent."""
    if answer.allowed:
        request_id = answer.request_id or wish.idempotency_key
        return Lock(allowed=True, request_id=request_id, suggested_max_tokens=answer.suggested_max_tokens)
    return Lock(
        allowed=False,
        error=answer.message or "the token counter did not allow it",
        code=answer.code or "limited",
        retry_after=answer.retry_after,
    )


def _is_id(request_id: object) -> bool:
    """Tell whether something can name a lock."""
    return isinstance(request_id, str) and bool(request_id.strip(": "))
