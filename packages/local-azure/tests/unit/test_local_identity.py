"""The local identity: which tokens it issues, to whom, and which of them open what."""

from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest
from aiohttp import ClientSession

from penstock_local_azure._guard import Guard, TokenRefused
from penstock_local_azure._identity import Identity
from penstock_local_azure._identity._issuer import Issuer

STORAGE = "https://storage.azure.com"
RIGHT = {"api-version": "2019-08-01", "resource": STORAGE}


class Wall:
    """The wall's clock, which goes on only when told to."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.25

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def issuer(wall: Wall) -> Issuer:
    return Issuer(60.0, wall)


def refusal(guard: Guard, token: str) -> TokenRefused:
    with pytest.raises(TokenRefused) as caught:
        guard.admit(token)
    return caught.value


class TestTokens:
    def test_one_is_good_until_the_second_in_which_it_expires(self, issuer: Issuer, wall: Wall) -> None:
        token = issuer.issue(STORAGE)

        wall.seconds = token.expires_on - 0.01
        assert issuer.check(token.text, [STORAGE]) == token.expires_on == 1_800_000_060
        wall.seconds = token.expires_on
        with pytest.raises(TokenRefused) as caught:
            issuer.check(token.text, [STORAGE])

        assert (caught.value.reason, caught.value.expired) == ("expired", token.expires_on)

    def test_one_is_for_one_audience_with_or_without_a_slash_at_the_end(self, issuer: Issuer) -> None:
        for resource in (STORAGE, f"{STORAGE}/"):
            issuer.check(issuer.issue(resource).text, ["https://other.example", STORAGE])

        with pytest.raises(TokenRefused, match="audience"):
            issuer.check(issuer.issue("https://vault.azure.net").text, [STORAGE])

    @pytest.mark.parametrize("claims", [{}, {"aud": STORAGE, "exp": 9_999_999_999}])
    def test_what_another_issuer_signed_opens_nothing(self, issuer: Issuer, wall: Wall, claims: dict[str, Any]) -> None:
        foreign = [Issuer(60.0, wall).issue(STORAGE).text, jwt.encode(claims, "", "none"), "a.b.c", "", "\udcff"]

        for token in foreign:
            with pytest.raises(TokenRefused, match="invalid"):
                issuer.check(token, [STORAGE])

    def test_no_two_are_alike(self, issuer: Issuer) -> None:
        assert issuer.issue(STORAGE).text != issuer.issue(STORAGE).text

    @pytest.mark.parametrize("lifetime", [0.5, 0, -1, float("nan")])
    def test_a_lifetime_under_a_second_is_refused_by_name(self, lifetime: float) -> None:
        with pytest.raises(ValueError, match="token_lifetime must be at least 1 second"):
            Identity(token_lifetime=lifetime)


class TestGuards:
    def test_it_refuses_good_tokens_when_told_to_and_then_no_more(self, issuer: Issuer) -> None:
        guard = Guard([STORAGE], issuer.check, accepts_keys=False)
        token = issuer.issue(STORAGE).text
        guard.refuse_next(1)
        guard.refuse_next(1)

        refused = [refusal(guard, token).reason for _ in range(2)]

        assert refused == ["told to", "told to"]
        assert guard.admit(token) == issuer.check(token, [STORAGE])

    def test_it_keeps_account(self, issuer: Issuer, wall: Wall) -> None:
        guard = Guard([STORAGE], issuer.check, accepts_keys=False)
        first, second = (issuer.issue(STORAGE).text for _ in range(2))
        for token in (first, first, second):
            guard.admit(token)
        refusal(guard, issuer.issue("https://vault.azure.net").text)
        wall.seconds += 60.0
        refusal(guard, first)

        assert guard.stats() == {"accepted": 3, "tokens": 2, "refused": {"audience": 1, "expired": 1}}


class TestTokenService:
    @pytest.fixture
    async def identity(self) -> AsyncIterator[Identity]:
        async with Identity(token_lifetime=60.0) as running:
            yield running

    async def ask(
        self, identity: Identity, query: dict[str, str], header: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        environment = identity.environment()
        headers = {"X-IDENTITY-HEADER": environment["IDENTITY_HEADER"] if header is None else header}
        async with (
            ClientSession() as session,
            session.get(environment["IDENTITY_ENDPOINT"], params=query, headers=headers) as response,
        ):
            return response.status, await response.json()

    async def test_it_answers_as_app_service_does(self, identity: Identity) -> None:
        status, answer = await self.ask(identity, RIGHT)

        assert status == 200
        assert answer.keys() == {"access_token", "expires_on", "resource", "token_type", "client_id"}
        assert (answer["resource"], answer["token_type"]) == (STORAGE, "Bearer")
        assert identity.guard("blob").admit(answer["access_token"]) == int(answer["expires_on"])
        assert identity.stats()["issued"] == {STORAGE: 1}

    @pytest.mark.parametrize("header", ["", "wrong", "\u00ff"])
    async def test_without_its_secret_it_gives_nothing(self, identity: Identity, header: str) -> None:
        status, answer = await self.ask(identity, RIGHT, header)

        assert status == 401
        assert "access_token" not in answer
        assert identity.stats()["issued"] == {}

    @pytest.mark.parametrize(
        ("query", "named"),
        [({**RIGHT, "api-version": "2017-09-01"}, "2019-08-01"), ({**RIGHT, "resource": ""}, "resource")],
    )
    async def test_it_says_what_a_request_lacks(self, identity: Identity, query: dict[str, str], named: str) -> None:
        status, answer = await self.ask(identity, query)

        assert status == 400
        assert named in answer["message"]
