"""What a pool says each app was granted: every grant once, however often its caller asks for it."""

from __future__ import annotations

import pytest

from penstock_token_client.accounting import Limits, Order, Pool, Usage

LIMITS = Limits(tpm=1_000, rpm=60, headroom=0.0)
ORDER = Order("a", 300, key="k")


@pytest.mark.parametrize("waiting", [False, True], ids=["at once", "from the line"])
@pytest.mark.parametrize("settled", [False, True])
def test_a_grant_that_its_key_brings_again_is_counted_once(*, waiting: bool, settled: bool) -> None:
    pool = Pool(LIMITS, instance="p", now=0.0)
    first = pool.grant_now(ORDER, 0.0)
    assert first is not None
    if settled:
        pool.settle(first.id, Usage(prompt_tokens=300, completion_tokens=0), 1.0)

    if waiting:
        pool.queue.join(ORDER, 2.0)
        ((_, again),) = pool.grants(2.0)
    else:
        again = pool.grant_now(ORDER, 2.0) or first

    assert again.id == first.id
    app = pool.status(2.0)["apps"]["a"]
    assert (app["granted"], app["granted_tokens"]) == (1, 300)
