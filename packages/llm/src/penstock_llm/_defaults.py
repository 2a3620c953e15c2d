"""What a service assumes where it is told nothing."""

import logging
import os
import re
from collections.abc import Mapping
from typing import Final

from penstock_token_client import Quota, TokenClient, Unlimited

MAX_COMPLETION_TOKENS: Final = 1024
REASONING_MAX_COMPLETION_TOKENS: Final = 8192
"""For models that think before they answer: their hidden reasoning counts as answer."""

_REASONING: Final = re.compile(r"(?<![a-z0-9])(o[134]|gpt-5)(?![a-z0-9])")

_logger = logging.getLogger(__name__)


def default_quota(app_id: str, pool: str = "completion", environment: Mapping[str, str] = os.environ) -> Quota:
    """Return a client of the counter at ``TOKEN_COUNTER_URL``; if it is not set, no limit, and say so."""
    url = environment.get("TOKEN_COUNTER_URL", "").strip()
    if url:
        return TokenClient(app_id, url, pool=pool)
    _logger.warning("no quota: set TOKEN_COUNTER_URL or pass quota= to share the deployment's limit")
    return Unlimited()


def default_max_completion_tokens(deployment: str, encodings: Mapping[str, str] | None) -> int:
    """Return the largest answer that a deployment is allowed unless told otherwise, by its model's name."""
    model = (encodings or {}).get(deployment, deployment).casefold()
    return REASONING_MAX_COMPLETION_TOKENS if _REASONING.search(model) else MAX_COMPLETION_TOKENS
