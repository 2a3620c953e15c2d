"""Any number of texts turned into vectors, batch after batch."""

import random
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack

from openai import AsyncOpenAI

from penstock_token_client import Quota, Unlimited

from ._attempts import Attempts
from ._checks import check_encodings, check_number
from ._defaults import default_quota
from ._embeddings import EmbeddingCourse, EmbeddingLane, batches, sendable_texts
from ._estimate import Estimator
from ._limit import Limit
from ._patience import Patience


class Embedder:
    """Embeds with one deployment, and while that fails with others of the same name.

    Args:
        lane: The deployment.
        fallbacks: What embeds elsewhere. Those with a deployment of another name are not asked: its vectors may mean
            something else.
    """

    def __init__(self, lane: EmbeddingLane, fallbacks: Iterable["Embedder"]) -> None:
        self.lane = lane
        alike = [other.lane for other in fallbacks if other.lane.deployment == lane.deployment]
        self._attempts = Attempts([lane, *alike])

    async def embed(
        self,
        texts: Sequence[str],
        *,
        dimensions: int | None,
        batch_tokens: int,
        retries: int,
        deadline: float | None,
    ) -> list[list[float]]:
        """Return the vectors; see `AzureOpenAIService.create_embedding`."""
        if dimensions is not None:
            check_number("dimensions", dimensions, least=1)
        check_number("batch_tokens", batch_tokens, least=1)
        sendable = sendable_texts(texts)
        limit = Limit(deadline, time.monotonic)
        cut = list(batches(sendable, await self.lane.counts(sendable), batch_tokens, dimensions))
        vectors: list[list[float]] = []
        for batch in cut:
            course = EmbeddingCourse(batch, Patience(retries, random.random))
            vectors += (await self._attempts.run(course, limit.left())).value
        return vectors


def make_embedder(
    deployment: str | None,
    quota: Quota | None,
    client: AsyncOpenAI,
    encodings: Mapping[str, str] | None,
    app_id: str,
    closing: AsyncExitStack,
    *,
    shared: Quota | None,
    fallbacks: Iterable[Embedder],
) -> Embedder | None:
    """Return what embeds, if there is a deployment for it.

    Raises:
        ValueError: Its quota is missing, or nothing says how its tokens are counted.
    """
    if deployment is None:
        return None
    check_encodings(deployment, encodings)
    if quota is None and isinstance(shared, Unlimited):
        quota = shared
    if quota is None and shared is not None:
        raise ValueError("embedding_quota is missing: quota is that of another deployment")
    if quota is None:
        quota = default_quota(app_id, pool="embedding")
        closing.push_async_callback(quota.aclose)
    lane = EmbeddingLane(deployment, quota, client, Estimator(deployment, encodings, lambda *_: 0))
    return Embedder(lane, fallbacks)
