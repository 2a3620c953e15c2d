"""pools.toml: what it may say, and that whatever is wrong is one sentence with the line and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from penstock_token_client import Limits, Sharing
from penstock_token_counter import Access, App, Entra
from penstock_token_counter._access import digest
from penstock_token_counter._configuration import PoolSettings, read_configuration
from penstock_token_counter._options import UsageError, read_options

if TYPE_CHECKING:
    from pathlib import Path

TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"
KEYS = [digest("one"), digest("another"), digest("third")]
WHOLE = f"""\
[pools.completion]
tpm = 600_000
rpm = 3_600
sub_window = 10
headroom = 0.05
settle = "actual"
max_depth = 500
deployment = "gpt-4o-mini"
learn_max_tokens = 0.95
weights = {{ feedback = 3 }}

[pools.embedding]
tpm = 1_000_000
rpm = 6_000

[apps.feedback]
keys = ["{KEYS[0]}", "{KEYS[1]}"]
pools = ["completion"]

[apps.nightly]
client_ids = ["11111111-2222-3333-4444-555555555555"]

[entra]
tenant = "{TENANT}"
audience = "api://token-counter"
"""
POOL = "[pools.completion]\ntpm = 5\nrpm = 5\n"


def written(directory: Path, text: str) -> str:
    file = directory / "pools.toml"
    file.write_text(text, encoding="utf-8")
    return str(file)


def complaint(directory: Path, text: str) -> str:
    with pytest.raises(UsageError) as refusal:
        read_configuration(written(directory, text))
    return str(refusal.value)


def test_it_says_all_there_is_to_say(tmp_path: Path) -> None:
    read = read_configuration(written(tmp_path, WHOLE))

    assert read.pools == {
        "completion": PoolSettings(
            limits=Limits(tpm=600_000, rpm=3_600, sub_window=10, headroom=0.05, settle="actual", learn_max_tokens=0.95),
            sharing=Sharing(weights={"feedback": 3}, max_depth=500),
            deployment="gpt-4o-mini",
        ),
        "embedding": PoolSettings(limits=Limits(tpm=1_000_000, rpm=6_000)),
    }
    assert read.access == Access(
        apps={
            "feedback": App(keys=tuple(KEYS[:2]), pools=("completion",)),
            "nightly": App(client_ids=("11111111-2222-3333-4444-555555555555",)),
        },
        entra=Entra(
            issuers=(f"https://login.microsoftonline.com/{TENANT}/v2.0", f"https://sts.windows.net/{TENANT}/"),
            audience="api://token-counter",
            jwks_url=f"https://login.microsoftonline.com/{TENANT}/discovery/v2.0/keys",
        ),
    )


def test_a_pool_is_enough(tmp_path: Path) -> None:
    read = read_configuration(written(tmp_path, POOL))

    assert read.pools == {"completion": PoolSettings(limits=Limits(tpm=5, rpm=5))}
    assert read.access == Access()


def test_another_cloud_is_named_by_its_address(tmp_path: Path) -> None:
    text = WHOLE.replace(f'"{TENANT}"', f'"https://login.example.us/{TENANT}"')

    entra = read_configuration(written(tmp_path, text)).access.entra

    assert entra is not None
    assert entra.issuers == (f"https://login.example.us/{TENANT}/v2.0",)
    assert entra.jwks_url == f"https://login.example.us/{TENANT}/discovery/v2.0/keys"


@pytest.mark.parametrize(
    ("text", "line", "what_to_do"),
    [
        ("", 1, "add [pools.NAME]"),
        ("\n\n[pools]\n", 3, "add [pools.NAME]"),
        (POOL + "tmp = 5\n", 4, "no field 'tmp': it takes tpm, rpm"),
        (POOL + "[pool.other]\n", 4, "no field 'pool': it takes pools, apps, entra"),
        ("[pools.completion]\ntpm = 5\n", 1, "has no rpm: give tpm and rpm"),
        ("[pools.completion]\ntpm = 5.0\nrpm = 5\n", 2, "tpm must be a whole number"),
        ("[pools.completion]\ntpm = 5\nrpm = true\n", 3, "rpm must be a whole number"),
        ("[pools.completion]\ntpm = 5\n\n# comment\nrpm = 0\n", 5, "rpm must be a whole number of at least 1"),
        (POOL + "headroom = nan\n", 4, "headroom must be a number of at least 0"),
        (POOL + "sub_window = '1'\n", 4, "sub_window must be a number"),
        (POOL + "settle = 'billed'\n", 4, "settle must be 'judged' or 'actual'"),
        (POOL + "max_depth = 0\n", 4, "max_depth must be a whole number of at least 1"),
        (POOL + "deployment = ' '\n", 4, "deployment must not be blank"),
        (POOL + "learn_max_tokens = 95\n", 4, "must be between 0 and 1"),
        (POOL + "weights = { a = 1, b = 0 }\n", 4, "the weight of 'b' must be a number above 0"),
        (POOL + "weights = 3\n", 4, "write [pools.completion.weights]"),
        (POOL + "[pools.completion.weights]\na = 1\nb = 'x'\n", 6, "b must be a number"),
        (POOL + "weights = { b = 1 }\n[apps.a]\n", 4, "add [apps.b]"),
        ("[pools.'a/b']\ntpm = 5\nrpm = 5\n", 1, "letters, digits"),
        ("pools = 5\n", 1, "pools must be a table"),
        ("pools.completion = 5\n", 1, "completion must be a table"),
        (POOL + "[apps.' ']\n", 4, "not blank"),
        (POOL + "[apps.a]\nkeys = 'x'\n", 5, "keys must be a list of texts"),
        (POOL + "[apps.a]\nkeys = [\n  'x',\n]\n", 5, "as penstock-token-counter key prints"),
        (POOL + "[apps.a]\npools = ['other']\n", 5, "no pool 'other', only completion"),
        (POOL + "[apps.a]\npools = []\n", 5, "leave it out to allow all"),
        (POOL + f"[apps.a]\nkeys = ['{KEYS[0]}']\n[apps.b]\nkeys = ['{KEYS[0]}']\n", 7, "give each its own"),
        (POOL + f"[apps.a]\nkeys = ['{KEYS[0]}']\n\n[apps.b]\n", 7, "give it keys or client_ids"),
        (POOL + "[apps.a]\nclient_ids = ['x']\n", 5, "without [entra]"),
        (POOL + f"[entra]\ntenant = '{TENANT}'\naudience = 'x'\n", 4, "give an app client_ids"),
        (POOL + f"[entra]\ntenant = '{TENANT}'\n", 4, "has no audience"),
        (POOL + "[entra]\naudience = 'x'\n", 4, "tenant is missing: give it, or issuer and jwks_url"),
        (POOL + "[entra]\ntenant = 'contoso.com'\naudience = 'x'\n", 5, "tenant must be the tenant's id"),
        (POOL + f"[entra]\ntenant = '{TENANT}'\naudience = 'x'\njwks_url = 'keys'\n", 7, "begins with https://"),
        (POOL + f"[entra]\ntenant = '{TENANT}'\naudience = 'x'\nissuers = 'x'\n", 7, "no field 'issuers'"),
    ],
)
def test_what_is_wrong_is_one_sentence_with_file_line_and_what_to_do(
    tmp_path: Path, text: str, line: int, what_to_do: str
) -> None:
    said = complaint(tmp_path, text)

    assert said.startswith(f"{tmp_path / 'pools.toml'}, line {line}: ")
    assert what_to_do in said
    assert "\n" not in said


def test_a_line_is_found_behind_texts_and_lists_of_several_lines(tmp_path: Path) -> None:
    text = f'''\
[apps.a]
keys = [  # two of them
    "{KEYS[0]}",
    "{KEYS[1]}",
]

[pools.completion]
tpm = 5
deployment = """
[pools.completion]
rpm = 7
"""
rpm = -5
'''

    assert ", line 13: rpm must be" in complaint(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "line"),
    [(POOL + "headroom =\n", 4), (POOL + "tpm = 6\n", 4), (POOL + POOL, 4), (POOL + 'deployment = """\nx\n\n', 5)],
)
def test_what_is_no_toml_is_said_with_the_line(tmp_path: Path, text: str, line: int) -> None:
    said = complaint(tmp_path, text)

    assert f"pools.toml, line {line}: this is no TOML: " in said
    assert "\n" not in said


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_configuration(str(tmp_path / "missing.toml"))


def test_a_file_that_is_not_text_is_said(tmp_path: Path) -> None:
    (tmp_path / "pools.toml").write_bytes(b"\xff\xfe")

    with pytest.raises(UsageError, match="is not UTF-8"):
        read_configuration(str(tmp_path / "pools.toml"))


def test_a_key_itself_never_reaches_the_complaint(tmp_path: Path) -> None:
    assert "canary" not in complaint(tmp_path, POOL + "[apps.a]\nkeys = ['canary']\n")


@pytest.mark.parametrize(
    "more", [["--tpm", "5", "--rpm", "5"], ["--pool", "a:tpm=5,rpm=5"], ["--headroom", "0"], ["--rpm", "5"]]
)
def test_the_file_and_the_command_line_do_not_both_say_it(tmp_path: Path, more: list[str]) -> None:
    with pytest.raises(UsageError, match="--config says it all"):
        read_options(["--config", written(tmp_path, POOL), *more])


def test_the_command_reads_the_file(tmp_path: Path) -> None:
    everywhere = "0.0.0.0"  # noqa: S104 - read, not bound

    options = read_options(["--config", written(tmp_path, WHOLE), "--host", everywhere])

    assert options.pools["completion"].tpm == 600_000
    assert options.configuration.access.protected


def test_without_keys_the_file_opens_no_address_that_others_reach(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give the apps keys"):
        read_options(["--config", written(tmp_path, POOL + "[apps.a]\n"), "--host", "::"])
