"""Where the SDK's exceptions become ours, once.

The SDK's status errors quote the server, and the server may quote the prompt; so they are read and left behind, while
errors of connections, which hold no content, stay as causes.
"""

from collections.abc import Awaitable, Iterator, Mapping
from typing import Any, Final, TypeVar

import aiohttp
import httpx2
import openai

from ._errors import CompletionError, ContentFiltered, EndpointUnavailable, RequestRejected
from ._filter import struck
from ._waiting import retry_after

T = TypeVar("T")

_PASSING: Final = frozenset({408, 409, 429})
_SETUP: Final = frozenset({401, 403, 404})
_SERVER_ERROR: Final = 500
NEVER_SENT: Final = (aiohttp.ClientConnectorError, httpx2.ConnectError, httpx2.PoolTimeout)
"""What is raised before anything of a request has left."""
_SPENT: Final = "insufficient_quota"
_FILTERED: Final = "content_filter"


async def mapped(call: Awaitable[T]) -> T:
    """Await a call of the SDK, and raise a `CompletionError` where it raises an error of its own."""
    try:
        return await call
    except openai.APIStatusError as error:
        ours = _from_status(error)
    except (openai.APIConnectionError, httpx2.HTTPError, aiohttp.ClientError, OSError) as error:
        raise _from_connection(error) from error
    except openai.APIError as error:
        # An error event within a stream, or a body that is none.
        ours = EndpointUnavailable(None, code=error.code or "malformed_answer")
    # Outside the handler, so that the SDK's error does not even travel along as context.
    raise ours


def _from_status(error: openai.APIStatusError) -> CompletionError:
    """Sort an error answer."""
    status, code, headers = error.status_code, error.code, error.response.headers
    if code == _FILTERED:
        return ContentFiltered("prompt", struck(_filter_results(error.body)), status=status, headers=headers)
    if status in _PASSING or status in _SETUP or status >= _SERVER_ERROR:
        return EndpointUnavailable(
            status,
            code=code,
            passing=status not in _SETUP and code != _SPENT and headers.get("x-should-retry") != "false",
            retry_after=retry_after(headers),
            headers=headers,
        )
    return RequestRejected(status, code=code, param=error.param, detail=error.message, headers=headers)


def _from_connection(error: Exception) -> EndpointUnavailable:
    """Sort a failure without an answer."""
    causes = list(_causes(error))
    # To the SDK's transport of aiohttp a connection that broke is a timeout, too.
    broke = isinstance(causes[-1], aiohttp.ClientConnectionError) and not isinstance(causes[-1], TimeoutError)
    timed_out = not broke and any(isinstance(cause, TimeoutError | httpx2.TimeoutException) for cause in causes)
    return EndpointUnavailable(
        None,
        code="timeout" if timed_out else type(causes[-1]).__name__,
        sent=not any(isinstance(cause, NEVER_SENT) for cause in causes),
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and what caused it, outermost first."""
    while error is not None:
        yield error
        error = error.__cause__


def _filter_results(body: object) -> object:
    """Find the content filter's results in Azure's error body."""
    inner: Any = body.get("innererror") if isinstance(body, Mapping) else None
    return inner.get("content_filter_result") if isinstance(inner, Mapping) else None
