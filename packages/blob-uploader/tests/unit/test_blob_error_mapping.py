"""Every foreign exception becomes one of ours, with the facts others act on and the remedy a person needs."""

import socket
import ssl
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ServiceRequestError,
    ServiceRequestTimeoutError,
    ServiceResponseError,
)

import penstock_blob_uploader
from penstock_blob_uploader import (
    AccessDeniedError,
    AccountUnreachableError,
    ContainerMissingError,
    RefusedError,
    TransferError,
    UnavailableError,
    UploadError,
)
from penstock_blob_uploader._mapping import retry_after_of, service_errors, translated

ADDRESS = ConnectionKey("acc.blob.example", 443, True, True, None, None, None)  # noqa: FBT003 - a named tuple's place


def answer(status: int, code: str = "", **headers: str) -> HttpResponseError:
    response: Any = SimpleNamespace(
        status_code=status, reason="", headers={"x-ms-error-code": code, **headers} if code else headers
    )
    kind = {401: ClientAuthenticationError, 409: ResourceExistsError}.get(status, HttpResponseError)
    return kind(message="as the service put it", response=response)


@pytest.mark.parametrize(
    ("error", "kind", "hint"),
    [
        (answer(403, "AuthorizationPermissionMismatch"), AccessDeniedError, "Storage Blob Data Contributor"),
        (answer(403, "AuthorizationFailure"), AccessDeniedError, "firewall"),
        (answer(403, "AuthenticationFailed"), AccessDeniedError, "expired"),
        (answer(401, "InvalidAuthenticationInfo"), AccessDeniedError, "tenant"),
        (answer(403, "SomethingNew"), AccessDeniedError, "Storage Blob Data Contributor"),
        (ClientAuthenticationError("no luck"), AccessDeniedError, "az login"),
        (answer(404, "ContainerNotFound"), ContainerMissingError, "create_container=True"),
        (answer(404, "ResourceNotFound"), AccountUnreachableError, "no such account"),
        (answer(403, "AuthorizationSourceIPMismatch"), AccessDeniedError, "this machine's address"),
        (answer(403, "AuthorizationProtocolMismatch"), AccessDeniedError, "https URL"),
        (answer(403, "AuthorizationServiceMismatch"), AccessDeniedError, "not for blobs"),
        (answer(403, "AuthorizationResourceTypeMismatch"), AccessDeniedError, "resource types c and o"),
        (answer(429), UnavailableError, "just now"),
        (answer(503, "ServerBusy"), UnavailableError, "just now"),
        (answer(500, "InternalError"), UnavailableError, "failing"),
        (answer(409, "ContainerBeingDeleted"), UnavailableError, "just now"),
        (answer(400, "Md5Mismatch"), TransferError, "as sent"),
        (answer(400, "InvalidBlockList"), TransferError, "as sent"),
        (answer(400, "InvalidMetadata"), RefusedError, "for good"),
        (answer(501, "NotImplemented"), RefusedError, "for good"),
        (ServiceResponseError("reset", error=ConnectionResetError()), UnavailableError, "broke"),
        (TimeoutError(), UnavailableError, "silent"),
        (aiohttp.ServerDisconnectedError(), UnavailableError, "broke"),
        (ServiceRequestTimeoutError("connect"), AccountUnreachableError, "nothing answers"),
    ],
)
def test_an_answer_becomes_an_error_that_says_what_helps(error: Exception, kind: type[UploadError], hint: str) -> None:
    ours = translated(error, "Uploading a")

    assert type(ours) is kind
    assert str(ours).startswith("Uploading a: ")
    assert hint in str(ours)


@pytest.mark.parametrize(
    ("cause", "hint"),
    [
        (aiohttp.ClientConnectorDNSError(ADDRESS, socket.gaierror(-2, "unknown")), "DNS"),
        (aiohttp.ClientConnectorError(ADDRESS, OSError(111, "refused")), "nothing answers"),
        (aiohttp.ClientConnectorCertificateError(ADDRESS, ssl.SSLCertVerificationError("self-signed")), "TLS"),
        (aiohttp.ClientProxyConnectionError(ADDRESS, OSError(111, "refused")), "proxy"),
    ],
)
def test_an_address_that_cannot_be_reached_says_where_to_look(cause: aiohttp.ClientError, hint: str) -> None:
    ours = translated(ServiceRequestError(cause, error=cause), "Uploading a")

    assert isinstance(ours, AccountUnreachableError)
    assert ours.environment
    assert hint in str(ours)


def test_what_was_meant_to_say_and_what_a_bug_says_are_not_mixed_up() -> None:
    with pytest.raises(KeyError), service_errors("Uploading a"):
        raise KeyError("a fault of ours")


def test_the_original_stays_as_the_cause() -> None:
    original = answer(500, "InternalError")

    with pytest.raises(UnavailableError) as failure, service_errors("Uploading a"):
        raise original

    assert failure.value.__cause__ is original


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after-ms": "250", "Retry-After": "1"}, 0.25),
        ({"x-ms-retry-after-ms": "1500"}, 1.5),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"Retry-After": "-3"}, 0.0),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "inf"}, None),
        ({}, None),
    ],
)
def test_the_wait_a_service_asks_for_is_read(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_of(headers) == seconds


def test_an_error_carries_the_wait_the_service_asked_for() -> None:
    assert translated(answer(503, "ServerBusy", **{"Retry-After": "7"}), "Uploading a").retry_after == 7.0


def test_no_error_of_ours_is_both_permanent_and_environment() -> None:
    errors = [value for value in vars(penstock_blob_uploader).values() if is_error(value)]

    assert len(errors) > 15
    assert not [error for error in errors if error.permanent and error.environment]


def is_error(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, UploadError)
