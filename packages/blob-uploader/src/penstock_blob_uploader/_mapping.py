"""The one place where foreign exceptions become ours, with the cause named and the remedy beside it."""

import math
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import aiohttp
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestTimeoutError,
)

from penstock_blob_uploader._errors import (
    AccessDeniedError,
    AccountUnreachableError,
    ContainerMissingError,
    RefusedError,
    TransferError,
    UnavailableError,
    UploadError,
)

_WRITE_ROLE = "give it the role 'Storage Blob Data Contributor' on the container, or a SAS with the rights c and w"

_CHECK_URL = "check account_url (AZURE_STORAGE_ACCOUNT) and the network"

_NO_CREDENTIAL = (
    "no credential could be used: check the key, sign in with 'az login', or give this machine a managed identity"
)

_ACCESS_REMEDIES = {
    "AuthorizationPermissionMismatch": f"the caller is known but may not write here: {_WRITE_ROLE}",
    "AuthorizationFailure": f"the account's firewall shuts this network out, or a right is missing: {_WRITE_ROLE}",
    "AuthorizationSourceIPMismatch": "the SAS is not for this machine's address: get one that is",
    "AuthorizationProtocolMismatch": "the SAS is for https only: use an https URL as account_url",
    "AuthorizationServiceMismatch": f"the SAS is not for blobs: {_WRITE_ROLE}",
    "AuthorizationResourceTypeMismatch": "the account SAS is not for objects: get one with the resource types c and o",
    "InsufficientAccountPermissions": f"the account key or SAS does not cover this: {_WRITE_ROLE}",
    "AuthenticationFailed": "the key, SAS or token is wrong or expired, or this machine's clock is: renew it",
    "InvalidAuthenticationInfo": "the token is for another tenant, audience or service: check the credential",
    "NoAuthenticationInformation": "the request carried no credential: give credential=, a key or a SAS",
    "KeyBasedAuthenticationNotPermitted": "the account refuses keys: use credential= with Entra ID",
    "PublicAccessNotPermitted": "the request carried no credential: give credential=, a key or a SAS",
    "AccountIsDisabled": "the storage account is disabled: enable it in the subscription",
}

_PASSING_CODES = frozenset({"Md5Mismatch", "Crc64Mismatch", "InvalidBlockList", "InvalidBlobOrBlock", "RequestTimeout"})
"""Refusals of one transfer, not of the file: damaged on the way, or its staged blocks are gone."""

_BEING_CHANGED_CODES = frozenset({"ContainerBeingDeleted", "AccountBeingCreated", "ServerBusy", "OperationTimedOut"})

_NO_SUCH_OPERATION = frozenset({501, 505})


@contextmanager
def service_errors(doing: str) -> Iterator[None]:
    """Raise what the SDK raises as an error of ours; ``doing`` says in its message what was being done."""
    try:
        yield
    except (AzureError, aiohttp.ClientError, TimeoutError, OSError) as error:
        raise translated(error, doing) from error


def translated(error: Exception, doing: str) -> UploadError:
    """Return our error for a foreign one; see `service_errors`."""
    if isinstance(error, ClientAuthenticationError) and not code_of(error):
        return AccessDeniedError(
            f"{doing}: {type(error).__name__}: {_NO_CREDENTIAL}."
        )  # the storage service always says a code
    if isinstance(error, HttpResponseError) and error.status_code is not None:
        return _from_answer(error, doing)
    return _from_connection(error, doing)


def code_of(error: HttpResponseError) -> str:
    """Return the service's error code, such as ``BlobAlreadyExists``; empty when it named none."""
    code = getattr(error, "error_code", None)
    if code is None:
        code = _headers_of(error).get("x-ms-error-code")
    return str(getattr(code, "value", code or ""))


def retry_after_of(headers: Mapping[str, str]) -> float | None:
    """Return the seconds a service asks to wait: ``retry-after-ms``, ``x-ms-retry-after-ms`` or ``Retry-After``.

    The date form of ``Retry-After`` (RFC 9110, 10.2.3) is not used by Azure Storage and counts as absent.
    """
    folded = {name.lower(): value for name, value in headers.items()}
    for name, unit in (("retry-after-ms", 0.001), ("x-ms-retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(folded[name]) * unit
        except (KeyError, ValueError):
            continue
        return max(0.0, seconds) if math.isfinite(seconds) else None
    return None


def _headers_of(error: HttpResponseError) -> Mapping[str, str]:
    """Return the answer's headers; azure-core's type for an answer does not mention them."""
    headers: Mapping[str, str] = getattr(error.response, "headers", {})
    return headers


def _from_answer(error: HttpResponseError, doing: str) -> UploadError:
    """Translate an answer of the service."""
    status, code = error.status_code or 0, code_of(error)
    said = f"{doing}: HTTP {status} {code}".rstrip()
    wait = retry_after_of(_headers_of(error))
    if status in (401, 403):
        return AccessDeniedError(f"{said}: {_ACCESS_REMEDIES.get(code, _WRITE_ROLE)}.", retry_after=wait)
    if status == 404:  # noqa: PLR2004 - not found
        return _from_absence(code, said)
    if code in _PASSING_CODES:
        return TransferError(f"{said}: the transfer did not come through as sent.", retry_after=wait)
    if code in _BEING_CHANGED_CODES or status in (408, 429):
        return UnavailableError(f"{said}: the service cannot take it just now.", retry_after=wait)
    if status >= 500 and status not in _NO_SUCH_OPERATION:  # noqa: PLR2004 - the server's own faults
        return UnavailableError(f"{said}: the service is failing.", retry_after=wait)
    return RefusedError(f"{said}: the service refuses this request for good.", retry_after=wait)


def _from_absence(code: str, said: str) -> UploadError:
    """Tell what is missing."""
    if code == "ResourceNotFound":
        return AccountUnreachableError(f"{said}: the host answers, but knows no such account: {_CHECK_URL}.")
    return ContainerMissingError(f"{said}: create the container, or pass create_container=True.")


def _from_connection(error: Exception, doing: str) -> UploadError:
    """Translate a failure without an answer."""
    causes = tuple(_chain(error))
    tls = next((cause for cause in causes if isinstance(cause, ssl.SSLError | ssl.CertificateError)), None)
    if tls is not None:
        return AccountUnreachableError(
            f"{doing}: TLS failed ({_tls_reason(tls)}): the certificate is not trusted here, or a proxy replaces it: "
            "install its CA, or pass client_options={'connection_verify': path}."
        )
    if any(isinstance(cause, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError) for cause in causes):
        return AccountUnreachableError(
            f"{doing}: the proxy cannot be used: check HTTPS_PROXY, or pass client_options={{'proxies': ...}}."
        )
    if any(isinstance(cause, socket.gaierror | aiohttp.ClientConnectorDNSError) for cause in causes):
        return AccountUnreachableError(
            f"{doing}: DNS does not know the account's host: there is no such account, or no way to DNS: {_CHECK_URL}."
        )
    if any(isinstance(cause, aiohttp.ClientConnectorError | ServiceRequestTimeoutError) for cause in causes):
        return AccountUnreachableError(f"{doing}: nothing answers at the account's address: {_CHECK_URL}.")
    return UnavailableError(f"{doing}: the connection broke or stayed silent ({type(error).__name__}).")


def _tls_reason(error: BaseException) -> str:
    """Return what is wrong with a certificate or a handshake, in OpenSSL's words."""
    error = getattr(error, "certificate_error", error)  # aiohttp keeps it there
    return getattr(error, "verify_message", "") or getattr(error, "reason", "") or type(error).__name__


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Walk from an exception to what caused it, also where the SDK keeps the cause as an attribute."""
    seen: set[int] = set()
    pending = [error]
    while pending:
        current = pending.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        pending += [current.__cause__, getattr(current, "inner_exception", None)]
