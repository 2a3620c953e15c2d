"""The quota of a service that was given none."""

import logging
import os
from collections.abc import Mapping

from penstock_token_client import Quota, TokenClient, Unlimited

_logger = logging.getLogger(__name__)


def default_quota(app_id: str, environment: Mapping[str, str] = os.environ) -> Quota:
    """Return a client of the counter at ``TOKEN_COUNTER_URL``; if it is not set, no limit, and say so."""
    url = environment.get("TOKEN_COUNTER_URL", "").strip()
    if url:
        return TokenClient(app_id, url)
    _logger.warning("no quota: set TOKEN_COUNTER_URL or pass quota= to share the deployment's limit")
    return Unlimited()
