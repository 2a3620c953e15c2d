"""What is cut out of a line as a secret, what is not, and what it costs."""

from __future__ import annotations

import json
import logging
import time
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_logging_monitor import JsonFormatter, TextFormatter, redact_secrets

if TYPE_CHECKING:
    from conftest import Logs

ACCOUNT_KEY = b64encode(bytes(range(64))).decode()
BUS_KEY = b64encode(bytes(range(32))).decode()
HEX_KEY = "0123456789abcdef" * 2
LONG_KEY = "A1b2" * 13 + "JQQJ99BCACYeBjFXJ3w3AAABACOG" + "a1B2"
SIGNATURE = "dD80ihBh5jfNpymO5Hg1IdiJIEvHcJpCMiCMnN%2fRnbI%3d"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJzaG9wIiwiZXhwIjoxfQ.c2lnbmF0dXJlLW9mLWl0"
CLIENT_SECRET = "abC8Q~" + "xYz01234567890123456789012345678-._"[:34]

LEAKS = {
    "keyword": (f"client(api_key='{HEX_KEY}')", HEX_KEY),
    "header in a dict": (f"{{'api-key': '{HEX_KEY}', 'accept': '*/*'}}", HEX_KEY),
    "raw header": (f"[(b'host', b'x'), (b'api-key', b'{HEX_KEY}')]", HEX_KEY),
    "header line": (f"Ocp-Apim-Subscription-Key: {HEX_KEY}", HEX_KEY),
    "environment": (f"AZURE_OPENAI_API_KEY={HEX_KEY} LANG=C", HEX_KEY),
    "counter's key": (f"TOKEN_COUNTER_KEY={HEX_KEY}", HEX_KEY),
    "storage connection string": (
        f"DefaultEndpointsProtocol=https;AccountName=a;AccountKey={ACCOUNT_KEY};EndpointSuffix=core.windows.net",
        ACCOUNT_KEY,
    ),
    "bus connection string": (
        f"Endpoint=sb://a.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey={BUS_KEY};EntityPath=q",
        BUS_KEY,
    ),
    "shared access signature in a URL": (
        f"GET https://a.blob.core.windows.net/c/b?sv=2024-11-04&sp=r&sig={SIGNATURE}&se=2026-01-01",
        SIGNATURE,
    ),
    "shared access signature in a header": (
        f"SharedAccessSignature sr=sb%3a%2f%2fa&sig={SIGNATURE}&se=1772366400&skn=Root",
        SIGNATURE,
    ),
    "shared key in a header": (f"'Authorization': 'SharedKey a:{BUS_KEY}'", BUS_KEY),
    "bearer": (f"Authorization: Bearer {JWT}", JWT),
    "bearer without a name": (f"sent bearer {HEX_KEY} along", HEX_KEY),
    "JSON web token": (f"got {JWT}.", JWT),
    "opaque token": (f"token={HEX_KEY}", HEX_KEY),
    "access token in JSON": (f'{{"access_token": "{HEX_KEY}", "expires_in": 3599}}', HEX_KEY),
    "key of OpenAI": ("Incorrect API key provided: sk-proj-a1B2c3D4e5F6g7H8i9J0", "sk-proj-a1B2c3D4e5F6g7H8i9J0"),
    "key of Azure, by its shape": (f"using {LONG_KEY}", LONG_KEY),
    "account key, by its shape": (f"using {ACCOUNT_KEY}", ACCOUNT_KEY),
    "client secret, by its shape": (f"using {CLIENT_SECRET}", CLIENT_SECRET),
    "client secret, by its name": ("client_secret: 'tr0ub4dor and 3'", "tr0ub4dor and 3"),
    "password": ("Server=s;User ID=u;Password=hunter,2);Encrypt=yes", "hunter,2)"),
    "password in a URL": ("rediss://default:hunter2@cache:6380/0", "hunter2"),
    "password in JSON": (json.dumps({"password": "it's hunter2"}), "hunter2"),
    "cookie": ("'set-cookie': 'session=abc; Path=/'", "session=abc"),
    "password by its short name": ("pwd=hunter2", "hunter2"),
    "key of OpenAI, by its shape": ("using sk-proj-a1B2c3D4e5F6g7H8i9J0", "sk-proj-a1B2c3D4e5F6g7H8i9J0"),
    "authorization without a scheme": ("authorization: dHI0dWI0ZG9y", "dHI0dWI0ZG9y"),
    "private key": (
        "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----",
        "hkiG9w0BAQEFAASC",
    ),
}

HARMLESS = [
    "prompt_tokens=800 completion_tokens=150 max_tokens: 400",
    "KeyError: 'order'; keyword argument key=3, primary key: 17",
    "unexpected token: identifier at line 3",
    "the bearer authentication scheme; api_key=None password=null",
    "Missing credentials. Pass one of `api_key`, 'azure_ad_token', 'azure_endpoint'",
    "https://shop.example:8080/path?design=1&x=2 mail@example.org",
    "SharedAccessKeyName=RootManageSharedAccessKey",
    "etag 0x8DC582 md5 1B2M2Y8AsgTpgAmY7PhCfg== sha256 " + HEX_KEY * 2,
    "trace 4bf92f3577b34da6a3ce929d0e0e4736 span 00f067aa0ba902b7",
]


@pytest.mark.parametrize(("line", "secret"), LEAKS.values(), ids=LEAKS)
def test_a_secret_is_cut_out(line: str, secret: str) -> None:
    redacted = redact_secrets(line)

    assert secret not in redacted
    assert "***" in redacted


@pytest.mark.parametrize("line", HARMLESS)
def test_what_is_no_secret_stays(line: str) -> None:
    assert redact_secrets(line) == line


def test_the_rest_of_the_line_stays() -> None:
    line = f"Endpoint=sb://a/;SharedAccessKeyName=Root;SharedAccessKey={BUS_KEY};EntityPath=q; tried 3 times"

    assert (
        redact_secrets(line)
        == "Endpoint=sb://a/;SharedAccessKeyName=Root;SharedAccessKey=***;EntityPath=q; tried 3 times"
    )


def test_case_does_not_matter_and_neither_do_letters_that_are_longer_in_lower_case() -> None:
    assert redact_secrets("İİİ API_KEY=abcdef, done İ") == "İİİ API_KEY=***, done İ"


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter(), logging.Formatter("%(message)s %(order)s")])
@pytest.mark.parametrize(("line", "secret"), LEAKS.values(), ids=LEAKS)
def test_no_way_into_a_record_leads_a_secret_into_the_file(
    logs: Logs, formatter: logging.Formatter, line: str, secret: str
) -> None:
    handler = logs.writer("w")
    handler.setFormatter(formatter)
    failure = (ValueError, ValueError(line), None)

    logs.say(handler, line, order="o-1")
    logs.say(handler, "as argument %s and %r", args=(line, {"inner": line}), order="o-1")
    logs.say(handler, "as extra", order=line, nested={"list": [line]})
    logs.say(handler, "as exception", exc_info=failure, order="o-1")
    logs.say(handler, "as stack", stack_info=line, order="o-1")

    assert handler.path is not None
    text = handler.path.read_text()
    assert secret not in text
    assert json.dumps(secret)[1:-1] not in text
    assert handler.statistics().written == 5


def test_a_value_of_any_type_under_the_name_of_a_secret_is_cut_out(logs: Logs) -> None:
    handler = logs.writer("w")

    logs.say(handler, "m", api_key="a b", password=12345, secret=["x", 7], refresh_token=1.5, cookie=None, pwd="it's")

    (line,) = logs.lines(logs.directory / "shop-w.current.log")[1:]
    assert {name: line[name] for name in ("api_key", "password", "refresh_token", "cookie", "pwd")} == {
        "api_key": "***",
        "password": "***",
        "refresh_token": "***",
        "cookie": None,
        "pwd": "***",
    }
    assert line["secret"] == ["***", 7]


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_json_within_json_is_read_to_the_end_of_the_secret(depth: int) -> None:
    line = json.dumps({"password": 'it\'s "hunter2" \\', "after": 1})
    for _ in range(depth - 1):
        line = json.dumps({"message": line})

    inner: Any = json.loads(redact_secrets(line))
    for _ in range(depth - 1):
        inner = json.loads(inner["message"])

    assert inner == {"password": "***", "after": 1}


SIGNS = list(" \"'\\\n=:;,&[](){}<-\xe9\u2028")
PIECES = [*SIGNS, "a", "b1", "api_key", "password", "secret", "token", "cookie", "sig=", '="', '":"', "='"]
names = st.sampled_from(["api_key", "password", "secret", "token", "Authorization", "cookie", "note", "pwd"])
texts = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)
scalars = texts | st.sampled_from([0, -1, 12345, 1.5, 1e300, True, False, None])
values = (
    scalars
    | st.lists(scalars | st.lists(scalars, max_size=2), max_size=3)
    | st.dictionaries(names, scalars, max_size=2)
)


@given(message=texts, extra=st.dictionaries(names, values, max_size=4))
def test_json_stays_json_and_no_field_is_lost(message: str, extra: dict[str, Any]) -> None:
    line = JsonFormatter().format(logging.makeLogRecord({"msg": "%s", "args": (message,), **extra}))

    assert set(json.loads(redact_secrets(line))) == set(json.loads(line))


@pytest.mark.parametrize("name", ["api_key", "password", "token", "authorization", "cookie", "sig"])
def test_a_name_without_a_value_at_the_end_of_a_text_does_not_reach_beyond_it(name: str) -> None:
    for separators in ((",", ":"), (", ", ": ")):
        fields = {
            "list": [f"{name}=", f"{name}: "],
            "message": f"{name}=",
            "after": {f"{name}=": 1},
            "last": f"{name}=",
        }
        line = json.dumps(fields, separators=separators)

        assert redact_secrets(line) == line


@given(name=st.sampled_from(["api_key", "password", "client_secret", "access_token"]), secret=texts, after=texts)
def test_a_text_under_the_name_of_a_secret_never_stays_in_json(name: str, secret: str, after: str) -> None:
    line = json.dumps({"message": "m", name: secret, "after": after})

    redacted = json.loads(redact_secrets(line))

    assert redacted[name] == ("***" if secret else "")


HOSTILE = [
    *("api_key=", "api_key='\\\"", "token=", "eyj", "sk-", "://a:", "==", "private key-----", "pwd\"\\'", "bearer "),
    *('api_key=\\\\\\"', "jqqj", "authorization: ", "cookie:", "~", 'secret:"', "password\\", "sig=", "key-"),
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_the_cost_of_a_hostile_line_grows_with_its_length_only(piece: str) -> None:
    def seconds(length: int) -> float:
        line = (piece * (length // len(piece) + 1))[:length] + "@"
        started = time.process_time()
        redact_secrets(line)
        return time.process_time() - started

    small = min(seconds(20_000) for _ in range(3))
    large = min(seconds(200_000) for _ in range(2))

    assert large < 40 * small + 0.05  # ten times the length: a square would be a hundred


def test_redaction_can_be_turned_off_or_be_ones_own(logs: Logs) -> None:
    for name, redact in (("plain", None), ("mine", str.upper)):
        handler = logs.writer(name, redact=redact)
        logs.say(handler, f"api_key={HEX_KEY}")

    assert logs.messages("shop-plain.current.log") == [f"api_key={HEX_KEY}"]
    assert f"API_KEY={HEX_KEY.upper()}" in (logs.directory / "shop-mine.current.log").read_text()


def test_a_redaction_that_fails_costs_the_record_and_says_nothing_of_it(
    logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)

    def fail(line: str) -> str:
        raise RuntimeError(f"no way to redact {len(line)} characters")

    handler = logs.writer("w", redact=fail)
    logs.say(handler, "anything")

    assert handler.statistics().lost == {"format": 1}
