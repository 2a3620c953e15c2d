"""The account's sums, against the plainest way to compute them."""

from hypothesis import given
from hypothesis import strategies as st

from penstock_local_azure._openai._account import Account, Entry

ENTRIES = st.lists(st.tuples(st.integers(0, 100), st.integers(1, 1_000), st.integers(1, 1_000)), max_size=40)


def account_of(entries: list[tuple[int, int, int]]) -> Account:
    account = Account()
    now = 0.0
    for gap, judged, billed in entries:
        now += gap
        account.entries.append(Entry(now, judged, billed))
    return account


@given(ENTRIES)
def test_the_peak_is_the_highest_sum_over_any_window_that_ends_with_an_arrival(
    entries: list[tuple[int, int, int]],
) -> None:
    account = account_of(entries)

    sums = [
        sum(entry.judged for entry in account.entries if last.at - 60 < entry.at <= last.at) for last in account.entries
    ]

    assert account.peak() == max(sums, default=0)


def test_the_summary_tells_what_arrived_was_refused_judged_and_billed() -> None:
    account = account_of([(0, 600, 90), (59, 300, 10), (1, 100, 5)])
    account.rejected = 2

    assert account.summary(tpm=1_000) == {
        "requests": 5,
        "http_429": 2,
        "judged_tokens": 1_000,
        "billed_tokens": 105,
        "peak_use": 0.9,
    }


def test_an_empty_account_has_used_nothing() -> None:
    assert account_of([]).summary(tpm=1)["peak_use"] == 0
