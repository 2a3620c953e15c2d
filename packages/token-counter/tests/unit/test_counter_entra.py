"""Tokens of Entra ID, judged by keys that a server on loopback gives out."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import jwt
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from penstock_token_client import Limits, TokenClient
from penstock_token_counter import Access, App, Entra, TokenCounter, _entra
from penstock_token_counter._access import digest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

POOLS = {"completion": Limits(tpm=1_000_000, rpm=60_000)}
ISSUER = "https://issuer.example/tenant/v2.0"
AUDIENCE = "api://token-counter"
OURS = rsa.generate_private_key(public_exponent=65537, key_size=2048)
NEXT = rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Issuer:
    """Signs tokens, and gives out its public keys."""

    def __init__(self) -> None:
        self.keys = {"ours": OURS}
        self.fetched = 0
        self.broken = False

    async def serve(self, _: web.Request) -> web.StreamResponse:
        self.fetched += 1
        if self.broken:
            return web.Response(status=503)
        keys = [
            {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())), "kid": name, "use": "sig"}
            for name, key in self.keys.items()
        ]
        return web.json_response({"keys": keys})

    def token(self, *, key: Any = OURS, algorithm: str = "RS256", kid: str = "ours", **claims: Any) -> str:
        said = {"iss": ISSUER, "aud": AUDIENCE, "azp": "client-of-a", "exp": time.time() + 600, **claims}
        present = {name: value for name, value in said.items() if value is not None}
        return jwt.encode(present, key, algorithm=algorithm, headers={"kid": kid})


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
async def url(issuer: Issuer) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/keys", issuer.serve)
    async with TestServer(app) as keys:
        access = Access(
            apps={"a": App(client_ids=["client-of-a"]), "b": App(keys=[digest("b-key")])},
            entra=Entra(issuers=[ISSUER], audience=AUDIENCE, jwks_url=str(keys.make_url("/keys"))),
        )
        async with TokenCounter(POOLS, assume_idle=True, access=access) as counter:
            yield counter.url


async def lock(url: str, token: str, app: str = "a") -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {token}"}
    message = {"app_id": app, "token_count": 1}
    async with aiohttp.ClientSession() as session, session.post(f"{url}/lock", json=message, headers=headers) as answer:
        return answer.status, (await answer.json()).get("message", "")


@pytest.mark.parametrize("client", [{"azp": "client-of-a"}, {"azp": None, "appid": "client-of-a"}])
async def test_a_good_token_is_its_app(url: str, issuer: Issuer, client: dict[str, Any]) -> None:
    assert (await lock(url, issuer.token(**client)))[0] == 200
    assert (await lock(url, issuer.token(**client), app="b"))[0] == 403


async def test_the_client_shows_the_tokens_of_its_credential(url: str, issuer: Issuer) -> None:
    class Token:
        token = issuer.token()

    class Credential:
        async def get_token(self, *_: str) -> Token:
            return Token()

    async with TokenClient("a", url, credential=Credential(), scope=f"{AUDIENCE}/.default") as client:
        assert (await client.lock_tokens(1)).allowed


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"exp": time.time() - 3600}, "expired"),
        ({"exp": None}, "MissingRequiredClaim"),
        ({"nbf": time.time() + 3600}, "Immature"),
        ({"aud": "api://another"}, "another audience"),
        ({"iss": "https://issuer.example/other/v2.0"}, "another issuer"),
        ({"key": NEXT}, "InvalidSignature"),
        ({"kid": "nobody's"}, "does not have"),
        ({"key": None, "algorithm": "none"}, "InvalidAlgorithm"),
        ({"key": "a secret of at least thirty-two bytes", "algorithm": "HS256"}, "InvalidAlgorithm"),
    ],
)
async def test_any_other_token_is_refused_with_the_reason(
    url: str, issuer: Issuer, wrong: dict[str, Any], reason: str
) -> None:
    status, message = await lock(url, issuer.token(**wrong))

    assert status == 401
    assert reason in message


async def test_the_public_key_is_no_secret_to_sign_with(url: str, issuer: Issuer) -> None:
    public = OURS.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    header = {"typ": "JWT", "alg": "HS256", "kid": "ours"}
    claims = {"iss": ISSUER, "aud": AUDIENCE, "azp": "client-of-a", "exp": int(time.time()) + 600}
    encode = jwt.utils.base64url_encode
    signed = encode(json.dumps(header).encode()) + b"." + encode(json.dumps(claims).encode())
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(signed, public)

    status, message = await lock(url, (signed + b"." + encode(signature)).decode())

    assert (status, "InvalidAlgorithm" in message) == (401, True)
    assert (await lock(url, issuer.token()))[0] == 200


@pytest.mark.parametrize("token", ["a.b.c", "..", "%.%.%", "e30.e30.e30", "ä.b.c"])
async def test_what_is_no_token_is_refused(url: str, token: str) -> None:
    assert (await lock(url, token))[0] == 401


async def test_a_valid_token_of_nobody_known_may_nothing(url: str, issuer: Issuer) -> None:
    status, message = await lock(url, issuer.token(azp="another-client"))

    assert (status, "client id" in message) == (403, True)


async def test_keys_and_tokens_live_side_by_side(url: str) -> None:
    assert (await lock(url, "b-key", app="b"))[0] == 200


async def test_the_keys_are_fetched_once_however_many_tokens_come(url: str, issuer: Issuer) -> None:
    for _ in range(5):
        await lock(url, issuer.token())
        await lock(url, issuer.token(kid="nobody's"))

    assert issuer.fetched == 1


async def test_a_new_key_is_fetched_when_a_token_names_it(
    url: str, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_entra, "_PAUSE", 0.0)
    await lock(url, issuer.token())
    issuer.keys["next"] = NEXT

    assert (await lock(url, issuer.token(key=NEXT, kid="next")))[0] == 200
    assert issuer.fetched == 2


async def test_known_keys_outlive_an_issuer_that_is_away(
    url: str, issuer: Issuer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_entra, "_PAUSE", 0.0)
    await lock(url, issuer.token())
    issuer.broken = True

    assert (await lock(url, issuer.token(kid="next")))[0] == 401
    assert (await lock(url, issuer.token(jti="another")))[0] == 200
    assert "cannot be fetched" in caplog.text


async def test_without_any_key_the_caller_is_asked_to_come_back(url: str, issuer: Issuer) -> None:
    issuer.broken = True

    status, message = await lock(url, issuer.token())

    assert (status, "out of reach" in message) == (503, True)


async def test_keys_are_fetched_anew_when_they_are_old() -> None:
    now = 0.0
    fetched = 0

    async def fetch() -> object:
        nonlocal fetched
        fetched += 1
        return {"keys": [{**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(OURS.public_key())), "kid": "ours"}]}

    keys = _entra.IssuerKeys(fetch, clock=lambda: now)
    for now in (0.0, 3599.0, 3601.0):  # noqa: B007 - the clock reads it
        assert await keys.find("ours") is not None

    assert fetched == 2


async def test_a_token_that_was_judged_expires_all_the_same(issuer: Issuer) -> None:
    wall = time.time()
    app = web.Application()
    app.router.add_get("/keys", issuer.serve)
    async with TestServer(app) as server:
        entra = Entra(issuers=[ISSUER], audience=AUDIENCE, jwks_url=str(server.make_url("/keys")))
        tokens = _entra.Tokens(
            entra, Access(apps={"a": App(client_ids=["client-of-a"])}, entra=entra), wall=lambda: wall
        )
        token = issuer.token(exp=time.time() - 30)
        before = await tokens.app(token)
        judged = dict(tokens._judged)
        await tokens.aclose()

    assert before == "a"
    assert all(until <= wall for _, until in judged.values())


async def test_no_part_of_a_token_reaches_an_answer_or_the_log(
    url: str, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    token = issuer.token(azp="canary-client", iss="canary-issuer", kid="canary-key")

    _, message = await lock(url, token)

    assert "canary" not in message + caplog.text
    assert token not in caplog.text


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jwt", None)
    entra = Entra(issuers=[ISSUER], audience=AUDIENCE, jwks_url="https://issuer.example/keys")

    with pytest.raises(ImportError, match=r"install penstock-token-counter\[entra\]"):
        TokenCounter(POOLS, access=Access(apps={"a": App(client_ids=["x"])}, entra=entra))
