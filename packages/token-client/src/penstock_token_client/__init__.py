"""Ask for shared Azure OpenAI quota before calling a model: from a token counter, or in-process."""

from ._errors import QuotaError, TokenCounterUnavailable, TokenLimitExceeded
from ._limits import Limits
from ._local_quota import LocalQuota
from ._quota import CallStatus, Lock, Quota, Reservation
from ._unlimited import Unlimited

__all__ = [
    "CallStatus",
    "Limits",
    "LocalQuota",
    "Lock",
    "Quota",
    "QuotaError",
    "Reservation",
    "TokenCounterUnavailable",
    "TokenLimitExceeded",
    "Unlimited",
]
