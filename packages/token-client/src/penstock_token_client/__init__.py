"""Ask for shared Azure OpenAI quota before calling a model: from a token counter, or in-process."""

from ._errors import QuotaError, TokenCounterUnavailable, TokenLimitExceeded
from ._limits import Limits
from ._local_quota import LocalQuota
from ._quota import Lock, Quota, Reservation
from ._retry import with_token_limit_retry, with_token_limit_retry_decorator
from ._sharing import Sharing
from ._token_client import TokenClient
from ._unlimited import Unlimited
from ._usage import CallStatus

__all__ = [
    "CallStatus",
    "Limits",
    "LocalQuota",
    "Lock",
    "Quota",
    "QuotaError",
    "Reservation",
    "Sharing",
    "TokenClient",
    "TokenCounterUnavailable",
    "TokenLimitExceeded",
    "Unlimited",
    "with_token_limit_retry",
    "with_token_limit_retry_decorator",
]
