"""Errors travel between processes with everything they say: a pool of processes sends them pickled."""

from __future__ import annotations

import pickle

import pytest

from penstock_token_client import QuotaError, TokenCounterUnavailable, TokenLimitExceeded


@pytest.mark.parametrize(
    "error",
    [
        QuotaError("closed"),
        TokenLimitExceeded("never fits", token_count=9, permanent=True),
        TokenLimitExceeded("too late", token_count=9, waited=1.5, retry_after=2.0),
        TokenCounterUnavailable("away", url="http://counter:8001", status=401, retry_after=3.0),
    ],
)
def test_an_error_says_the_same_in_another_process(error: QuotaError) -> None:
    arrived = pickle.loads(pickle.dumps(error))  # noqa: S301  our own

    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    assert vars(arrived) == vars(error)
