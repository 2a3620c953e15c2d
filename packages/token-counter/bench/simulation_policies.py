"""The policies that ours is compared with, by the tags under which they are reported."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from simulation_delivery import LearnedMaxTokens, MaxTokens, SdkRetries, UnderQuota
from simulation_judge import MINUTE
from simulation_logs import AnchoredWindow, Bucket, Pace, SlidingLog
from simulation_quotas import Polling, ServerLine

if TYPE_CHECKING:
    from simulation_judge import Rules
    from simulation_model import Deliver, Endpoint

Policy = Callable[["Endpoint", "Rules"], "Deliver"]
"""Makes what delivers the messages of a run, to an endpoint whose limits are known and whose habits are not."""

MARGIN = 0.25
"""Seconds by which the peers' logs outlast the window and the sub-window."""
LEAST_BURST = 8_000
"""Tokens that a bucket holds at least, so that no request is too large for it."""


def naive(endpoint: Endpoint, rules: Rules, *, obey: bool) -> Deliver:
    """Keep no account; retry as the SDK does."""
    del rules
    return SdkRetries(endpoint, obey=obey)


def anchored(endpoint: Endpoint, rules: Rules, *, refund: bool) -> Deliver:
    """Keep a window anchored at its first hit; denied, wait for its end and a second, three times at most."""
    quota = Polling(
        endpoint,
        AnchoredWindow(rules.tpm, rules.rpm),
        pause=lambda wait, _: wait + 1,
        refund=refund,
        forgive=True,
        patience=3,
    )
    return UnderQuota(endpoint, quota, MaxTokens())


def unpaced(endpoint: Endpoint, rules: Rules) -> Deliver:
    """Keep an exact log of a minute that refunds; poll."""
    log = SlidingLog(rules.tpm, MINUTE, Pace(rules.rpm, MINUTE))
    return UnderQuota(endpoint, Polling(endpoint, log, pause=about_a_second, refund=True), MaxTokens())


def paced(endpoint: Endpoint, rules: Rules, *, refund: bool, told: bool = False) -> Deliver:
    """Keep an exact log that outlasts the minute, paced by sub-windows; poll."""
    pause = as_told if told else about_a_second
    return UnderQuota(endpoint, Polling(endpoint, sliding_log(rules), pause=pause, refund=refund), MaxTokens())


def bucket(endpoint: Endpoint, rules: Rules, *, share: float) -> Deliver:
    """Keep a bucket that holds a share of the limit; poll."""
    log = Bucket(rules.tpm, max(rules.tpm * share, LEAST_BURST), pace_of(rules))
    return UnderQuota(endpoint, Polling(endpoint, log, pause=about_a_second, refund=False), MaxTokens())


def line(
    endpoint: Endpoint,
    rules: Rules,
    *,
    refund: bool = False,
    fair: bool = False,
    backfill: bool = False,
    share: float | None = None,
    sent: bool = True,
    headroom: float = 0.0,
) -> Deliver:
    """Keep the same log behind a line on the server."""
    log = sliding_log(rules, headroom)
    quota = ServerLine(endpoint, log, refund=refund, fair=fair, backfill=backfill)
    return UnderQuota(endpoint, quota, MaxTokens() if share is None else LearnedMaxTokens(share, sent=sent))


def about_a_second(wait: float, random: float) -> float:
    """Sleep between half a second and one and a half."""
    del wait
    return 0.5 + random


def as_told(wait: float, random: float) -> float:
    """Sleep until there is room, at most five seconds, and a little longer."""
    return min(wait, 5.0) + random / 2


def pace_of(rules: Rules) -> Pace:
    """Return the pace that the sub-windows allow."""
    return Pace(max(1, int(rules.rpm * rules.sub_window / MINUTE)), rules.sub_window + MARGIN)


def sliding_log(rules: Rules, headroom: float = 0.0) -> SlidingLog:
    """Return the log of the paced policies."""
    return SlidingLog(int(rules.tpm * (1 - headroom)), MINUTE + MARGIN, pace_of(rules))


class Peer(NamedTuple):
    """A policy, and what it is in a few words."""

    words: str
    policy: Policy


PEERS = {
    "i-a": Peer("no account, the SDK backs off by itself", partial(naive, obey=False)),
    "i-b": Peer("no account, the SDK obeys retry-after", partial(naive, obey=True)),
    "ii": Peer("window from its first hit, refunding", partial(anchored, refund=True)),
    "ii-j": Peer("window from its first hit", partial(anchored, refund=False)),
    "iii-0": Peer("unpaced log, refunding, polled", unpaced),
    "iii-a": Peer("log, refunding, polled", partial(paced, refund=True)),
    "iii-b": Peer("log, polled", partial(paced, refund=False)),
    "iii-c": Peer("log, polled when it said", partial(paced, refund=False, told=True)),
    "iii-t": Peer("bucket of a minute, polled", partial(bucket, share=1.0)),
    "iii-u": Peer("bucket of ten seconds, polled", partial(bucket, share=1 / 6)),
    "iv": Peer("log, first come first served", line),
    "iv-b": Peer("log, line with backfill", partial(line, backfill=True)),
    "iv-f": Peer("log, fair line with backfill", partial(line, backfill=True, fair=True)),
    "iv-a": Peer("log, refunding, first come first served", partial(line, refund=True)),
    "v-a": Peer("as iv, 95 % completions reserved, not sent", partial(line, share=0.95, sent=False)),
    "v-b": Peer("as iv-b, max_tokens of 95 % sent", partial(line, backfill=True, share=0.95)),
    "v-c": Peer("as iv-b, max_tokens of 99 % sent", partial(line, backfill=True, share=0.99)),
    "v-d": Peer("as iv-f, max_tokens of 90 % sent", partial(line, backfill=True, fair=True, share=0.90)),
}
