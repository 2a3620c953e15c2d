import pytest

from penstock_token_client import Limits
from penstock_token_counter._options import read_options
from penstock_token_counter._usage import UsageError


def test_tpm_and_rpm_make_the_default_pool() -> None:
    options = read_options(["--tpm", "600000", "--rpm", "3600", "--headroom", "0"])

    assert options.pools == {"completion": Limits(tpm=600_000, rpm=3_600, headroom=0.0)}
    assert (options.host, options.port, options.assume_idle) == ("127.0.0.1", 8001, False)


def test_pools_are_named_with_their_limits() -> None:
    options = read_options(["--pool", "completion:tpm=600000,rpm=3600,sub=10", "--pool", "embedding:rpm=60,tpm=1000"])

    assert options.pools == {
        "completion": Limits(tpm=600_000, rpm=3_600, sub_window=10.0),
        "embedding": Limits(tpm=1_000, rpm=60),
    }


@pytest.mark.parametrize(
    ("arguments", "what_to_do"),
    [
        ([], "give --tpm N --rpm N, or --pool"),
        (["--tpm", "5"], "give both"),
        (["--tpm", "x", "--rpm", "5"], "--tpm"),
        (["--tpm", "0", "--rpm", "5"], "tpm must be a whole number of at least 1"),
        (["--tpm", "5", "--rpm", "5", "--headroom", "nan"], "headroom must be"),
        (["--tpm", "5", "--rpm", "5", "--port", "70000"], "give 1 to 65535"),
        (["--tpm", "5", "--rpm", "5", "--host", "0.0.0.0"], "add --insecure"),  # noqa: S104 - refused, not bound
        (["--tpm", "5", "--rpm", "5", "--host", "counter.example"], "add --insecure"),
        (["--tpm", "5", "--rpm", "5", "--pool", "completion:tpm=5,rpm=5"], "twice"),
        (["--pool", "a/b:tpm=5,rpm=5"], "letters, digits"),
        (["--pool", "a"], "write NAME:tpm=N,rpm=N"),
        (["--pool", "a:tpm=5"], "lacks"),
        (["--pool", "a:tpm=5,rpm=5,tpm=6"], "write NAME:tpm=N,rpm=N"),
        (["--pool", "a:tpm=5,rpm=many"], "no number after rpm="),
        (["--pool", "a:tpm=5,rpm=5,sub=0"], "sub_window must be"),
        (["--unknown"], "see --help"),
    ],
)
def test_what_cannot_be_followed_is_one_sentence_that_says_what_to_do(arguments: list[str], what_to_do: str) -> None:
    with pytest.raises(UsageError, match=what_to_do) as refusal:
        read_options(arguments)

    assert "\n" not in str(refusal.value)


def test_a_journal_is_a_directory_and_none_unless_it_is_named() -> None:
    assert read_options(["--tpm", "5", "--rpm", "5"]).journal is None
    assert read_options(["--tpm", "5", "--rpm", "5", "--journal", "kept"]).journal == "kept"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_needs_no_insecure(host: str) -> None:
    assert read_options(["--tpm", "5", "--rpm", "5", "--host", host]).host == host


def test_insecure_allows_any_address() -> None:
    everywhere = "0.0.0.0"  # noqa: S104 - read, not bound

    assert read_options(["--tpm", "5", "--rpm", "5", "--host", everywhere, "--insecure"]).host == everywhere
