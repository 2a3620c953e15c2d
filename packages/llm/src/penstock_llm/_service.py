"""The service: what asks a deployment, assembled from arguments and environment."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import httpx2
from openai import AsyncOpenAI

from penstock_token_client import Quota

from ._asking import DEFAULT_RETRIES, Asking
from ._checks import check_encodings, check_number, check_parameters, check_seconds
from ._connection import connect
from ._defaults import default_max_completion_tokens, default_quota
from ._embedder import Embedder, make_embedder
from ._engines import EngineName, make_engine
from ._estimate import Estimator
from ._lane import ChatLane
from ._native import NativeEngine
from ._settings import read_deployment, read_encodings

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

BATCH_TOKENS: Final = 100_000


class AzureOpenAIService(Asking):
    """Asks one deployment, and others while it fails; closes on exit what it made itself.

    Args:
        model: The deployment's name. Default: ``AZURE_OPENAI_DEPLOYMENT_NAME``.
        app_id: As whom to ask the token counter, if ``quota`` is not given.
        quota: A `TokenClient`, a `LocalQuota` or `Unlimited`. Default: the counter at ``TOKEN_COUNTER_URL``, and
            without that variable no limit, with a warning.
        endpoint: The resource's URL. Default: ``AZURE_OPENAI_ENDPOINT``.
        api_key: Default: ``AZURE_OPENAI_API_KEY``; without a key and a credential, Entra ID's default chain.
        api_version: Selects the classic route. Default: ``AZURE_OPENAI_API_VERSION``, else the v1 route.
        credential: An asynchronous token credential, instead of a key.
        scope: Of Entra ID's tokens. Default: ``AZURE_OPENAI_SCOPE``, else that of Azure's public cloud.
        client: A ready client of the SDK, instead of all the arguments about the endpoint.
        http_client: A transport of your own (proxy, CA) for the client this service makes.
        engine: How typed answers are asked for: ``"native"`` by strict JSON Schema, ``"instructor"`` by a tool,
            ``"instructor-json-schema"``; the latter two need the extra ``instructor``.
        fallbacks: Services of other deployments, with quotas of their own, to ask in this order while this one answers
            429, is out of reach, or filters the content; for vectors, those whose ``embedding_model`` has the name of
            this one's. They stay open.
        embedding_model: The deployment that `create_embedding` asks.
        embedding_quota: Its quota. Default: the counter's pool ``embedding``; must be given if ``quota`` is.
        max_completion_tokens: The largest answer, in tokens, that is allowed and reserved for. Default: 1024, and 8192
            for reasoning models.
        use_suggested_max_tokens: Whether calls that do not say ``max_tokens`` use what the quota says is usually
            enough, if it says so; an answer that is cut off is then asked for once more with all that is allowed.
        deadline: Seconds for one completion with all its attempts and waits, unless a call says otherwise.
        timeout: Seconds without a byte from the endpoint after which an attempt is given up. Default: 600, or what the
            ``http_client`` given says.
        encodings: Deployment to model or encoding, for deployments whose names do not say their model. Default for the
            one that ``AZURE_OPENAI_DEPLOYMENT_NAME`` names: ``AZURE_OPENAI_MODEL``.
        parameters: Further parameters of every request, such as ``{"temperature": 0}``.

    Raises:
        ValueError: Something is missing, malformed or said twice; the message names it.
        ImportError: The engine's extra is not installed.
    """

    def __init__(
        self,
        model: str | None = None,
        app_id: str = "default",
        *,
        quota: Quota | None = None,
        endpoint: str | None = None,
        api_key: str | None = None,
        api_version: str | None = None,
        credential: "AsyncTokenCredential | None" = None,
        scope: str | None = None,
        client: AsyncOpenAI | None = None,
        http_client: httpx2.AsyncClient | None = None,
        engine: EngineName = "native",
        fallbacks: Sequence["AzureOpenAIService"] = (),
        embedding_model: str | None = None,
        embedding_quota: Quota | None = None,
        max_completion_tokens: int | None = None,
        use_suggested_max_tokens: bool = False,
        deadline: float | None = None,
        timeout: float | None = None,
        encodings: Mapping[str, str] | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        check_seconds("deadline", deadline)
        check_seconds("timeout", timeout)
        check_parameters(parameters)
        deployment = read_deployment(model)
        encodings = read_encodings(deployment, encodings)
        check_encodings(deployment, encodings)
        if max_completion_tokens is None:
            max_completion_tokens = default_max_completion_tokens(deployment, encodings)
        check_number("max_completion_tokens", max_completion_tokens, least=1)
        self._closing = AsyncExitStack()
        client = connect(
            client,
            self._closing,
            endpoint=endpoint,
            api_key=api_key,
            api_version=api_version,
            credential=credential,
            scope=scope,
            http_client=http_client,
            timeout=timeout,
        )
        self._embedder: Embedder | None = make_embedder(
            embedding_model,
            embedding_quota,
            client,
            encodings,
            app_id,
            self._closing,
            shared=quota,
            fallbacks=[each._embedder for each in fallbacks if each._embedder],  # noqa: SLF001  of the same class
        )
        if quota is None:
            quota = default_quota(app_id)
            self._closing.push_async_callback(quota.aclose)
        asking = make_engine(engine, client, deployment, parameters or {})
        text = NativeEngine(client, deployment, parameters or {})
        lane = ChatLane(deployment, quota, asking, text, Estimator(deployment, encodings, asking.shape_tokens))
        super().__init__(
            [lane, *(fallback._lane for fallback in fallbacks)],  # noqa: SLF001  of the same class
            max_completion_tokens=max_completion_tokens,
            use_suggested_max_tokens=use_suggested_max_tokens,
            deadline=deadline,
        )

    async def __aenter__(self) -> Self:
        """Return the service, which is ready since it was constructed."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close what this service made: its client, its credential, its client of the token counter.

        Calls that come later, or still wait for quota, raise `RuntimeError`, and hold none.
        """
        self._lane.closed = True
        if self._embedder is not None:
            self._embedder.lane.closed = True
        await self._closing.aclose()

    async def create_embedding(
        self,
        texts: Sequence[str],
        *,
        dimensions: int | None = None,
        batch_tokens: int = BATCH_TOKENS,
        max_retries: int = DEFAULT_RETRIES,
        deadline: float | None = None,
    ) -> list[list[float]]:
        """Return a vector for each text, in order.

        While the deployment fails, those of the ``fallbacks`` are asked whose ``embedding_model`` has the same name:
        the vectors of another model mean something else.

        Args:
            texts: Of at least a character and at most 8,192 tokens each; any number of them.
            dimensions: The vectors' length, for models that let one choose.
            batch_tokens: How many tokens to send at once, at most, however many texts that is up to 2,048; what
                the quota allows in a minute must not be less.
            max_retries: How many requests may follow the first of a batch.
            deadline: Seconds for everything. Default: the service's.

        Raises:
            TypeError, ValueError: An argument is wrong; nothing was sent.
            CompletionError: The endpoint does not answer with vectors.
            QuotaError: There was no quota in time, or the token counter is out of reach.
        """
        if self._embedder is None:
            raise ValueError("embedding_model is missing: pass embedding_model= to AzureOpenAIService")
        check_number("max_retries", max_retries, least=0)
        check_seconds("deadline", deadline)
        return await self._embedder.embed(
            texts,
            dimensions=dimensions,
            batch_tokens=batch_tokens,
            retries=max_retries,
            deadline=self._deadline if deadline is None else deadline,
        )
