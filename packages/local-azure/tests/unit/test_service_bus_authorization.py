"""What the tokens of a connection allow: on which entities, and until when."""

from collections.abc import Callable

import pytest

from penstock_local_azure._guard import Guard
from penstock_local_azure._identity._issuer import Issuer
from penstock_local_azure._service_bus._authorization import Claim, Grants
from penstock_local_azure._service_bus._cbs import answer_cbs
from penstock_local_azure._service_bus._errors import AmqpError
from penstock_local_azure._service_bus._requests import Reply, Request

BUS = "https://servicebus.azure.net"
SAS = "servicebus.windows.net:sastoken"


class Wall:
    """The wall's clock, which goes on only when told to."""

    def __init__(self) -> None:
        self.seconds = 1_555_017_116.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def issuer(wall: Wall) -> Issuer:
    return Issuer(60.0, wall)


@pytest.fixture
def grants(issuer: Issuer, wall: Wall) -> Grants:
    return Grants(Guard([BUS], issuer.check, accepts_keys=False), wall)


def put(grants: Grants, token: str, name: str = "sb://ns.example/q", kind: str = "jwt") -> Reply:
    return answer_cbs(grants, Request("1", None, {"operation": "put-token", "type": kind, "name": name}, token))


def claim(path: str, right: str = "Listen") -> Claim:
    return Claim("link", right, path)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("sb://ns.example/q", "q"),
        ("amqps://ns.example:5671/q", "Q"),
        ("sb://ns.example/q", "q/$management"),
        ("sb://ns.example/q", "q/$DeadLetterQueue"),
        ("sb://ns.example/t/Subscriptions/s", "t/subscriptions/s/$management"),
        ("sb://ns.example", "q"),
        ("sb://ns.example/q", "$cbs"),
    ],
)
def test_a_token_is_good_for_its_entity_and_what_lies_below_it(
    grants: Grants, issuer: Issuer, name: str, path: str
) -> None:
    assert put(grants, issuer.issue(f"{BUS}/").text, name).status == 202

    assert grants.covers(claim(path))


@pytest.mark.parametrize(
    ("name", "path"),
    [("sb://ns.example/q", "q2"), ("sb://ns.example/q/$DeadLetterQueue", "q"), ("sb://ns.example/q", "")],
)
def test_a_token_is_good_for_nothing_else(grants: Grants, issuer: Issuer, name: str, path: str) -> None:
    assert put(grants, issuer.issue(BUS).text, name).status == 202

    assert not grants.covers(claim(path))


@pytest.mark.parametrize("right", ["Send", "Listen"])
def test_without_a_token_a_link_is_refused_in_the_service_s_words(grants: Grants, right: str) -> None:
    with pytest.raises(AmqpError) as caught:
        grants.check(claim("q", right))

    assert caught.value.condition == "amqp:unauthorized-access"
    assert caught.value.description.startswith(f"Unauthorized access. '{right}' claim(s) are required")


REFUSED: dict[str, tuple[Callable[[Issuer], str], str]] = {
    "expired": (
        lambda issuer: issuer.issue(BUS, -1).text,
        "ExpiredToken: The token is expired. Expiration time: '2019-04-11 21:11:55Z'",
    ),
    "of another audience": (lambda issuer: issuer.issue("https://storage.azure.com").text, "InvalidAudience: "),
    "of another issuer": (lambda _: Issuer(60.0).issue(BUS).text, "InvalidSignature: "),
    "no token at all": (lambda _: "canary", "InvalidSignature: "),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_refused_token_is_answered_401_and_opens_nothing(grants: Grants, issuer: Issuer, what: str) -> None:
    make, words = REFUSED[what]

    reply = put(grants, make(issuer))

    assert (reply.status, reply.condition) == (401, "com.microsoft:auth-failed")
    assert reply.description.startswith(words)
    assert "canary" not in reply.description
    assert not grants.covers(claim("q"))


def test_a_refused_token_leaves_a_former_one_in_place(grants: Grants, issuer: Issuer) -> None:
    put(grants, issuer.issue(BUS).text)
    put(grants, "canary")

    assert grants.covers(claim("q"))


def test_it_ends_with_its_token_and_a_new_one_goes_on(grants: Grants, issuer: Issuer, wall: Wall) -> None:
    put(grants, issuer.issue(BUS).text, "sb://ns.example/renewed")
    put(grants, issuer.issue(BUS).text, "sb://ns.example/forgotten")
    wall.seconds += 30.0
    put(grants, issuer.issue(BUS).text, "sb://ns.example/renewed")
    assert grants.seconds_left() == 30.0

    wall.seconds += 30.0

    assert grants.covers(claim("renewed"))
    assert not grants.covers(claim("forgotten"))
    assert grants.seconds_left() == 0.0
    grants.forget_expired()
    assert grants.seconds_left() == 30.0


@pytest.mark.parametrize("kind", [SAS, "jwt"])  # the SDK's async client names every token so
def test_keys_open_nothing_unless_they_are_accepted(issuer: Issuer, wall: Wall, kind: str) -> None:
    strict, lenient = (Grants(Guard([BUS], issuer.check, accepts_keys=keys), wall) for keys in (False, True))

    refused, accepted = (put(grants, "SharedAccessSignature sr=q", kind=kind) for grants in (strict, lenient))

    assert (refused.status, accepted.status) == (401, 202)
    assert refused.description.startswith("LocalAuthDisabled: ")
    assert not strict.covers(claim("q"))
    assert lenient.covers(claim("q"))
    assert lenient.seconds_left() is None


def test_without_a_guard_everything_is_allowed_for_ever() -> None:
    grants = Grants()

    assert put(grants, "anything").status == 202
    assert grants.covers(claim("elsewhere"))
    assert grants.seconds_left() is None
