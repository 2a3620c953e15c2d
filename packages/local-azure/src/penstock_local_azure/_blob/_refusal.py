"""Every answer other than success: Azure's error code, its HTTP status, and a sentence of our own."""

from collections.abc import Mapping
from typing import Final

# code: (status, message). Codes and statuses: Microsoft, "Blob service error codes" and "Common REST API error codes".
CODES: Final[dict[str, tuple[int, str]]] = {
    "AuthenticationFailed": (
        403,
        "The request does not carry a valid signature by this account.",
    ),
    "AuthorizationFailure": (403, "The request is not authorized to do this."),
    "AuthorizationPermissionMismatch": (403, "The shared access signature does not permit this operation."),
    "AuthorizationProtocolMismatch": (403, "The shared access signature does not permit this protocol."),
    "AuthorizationResourceTypeMismatch": (403, "The shared access signature does not permit this type of resource."),
    "AuthorizationServiceMismatch": (403, "The shared access signature is not for this service."),
    "AuthorizationSourceIPMismatch": (403, "The shared access signature does not permit this source address."),
    "BlobAlreadyExists": (409, "The blob exists already."),
    "BlobNotFound": (404, "The blob does not exist."),
    "ConditionNotMet": (412, "A condition given in the request's headers is not met."),
    "ContainerAlreadyExists": (409, "The container exists already."),
    "ContainerNotFound": (404, "The container does not exist."),
    "InternalError": (500, "The server met an error of its own; try again."),
    "InvalidAuthenticationInfo": (
        401,
        "Server failed to authenticate the request. Please refer to the information in the www-authenticate header.",
    ),
    "InvalidBlobOrBlock": (400, "The block's id is longer or shorter than those of the blob's other blocks."),
    "InvalidBlockList": (400, "The block list names a block that the blob does not have."),
    "InvalidHeaderValue": (400, "A header's value is not in the right format."),
    "InvalidMd5": (400, "The MD5 value is not the base64 of 16 bytes."),
    "InvalidMetadata": (400, "A metadata name is not an identifier."),
    "InvalidQueryParameterValue": (400, "A query parameter's value is not valid."),
    "InvalidRange": (416, "The range begins after the end of the blob."),
    "InvalidResourceName": (400, "The name breaks the rules for container and blob names."),
    "InvalidXmlDocument": (400, "The body is not the XML document that the operation expects."),
    "KeyBasedAuthenticationNotPermitted": (403, "Key based authentication is not permitted on this storage account."),
    "Md5Mismatch": (400, "The MD5 value given is not the MD5 of the body received."),
    "MissingContentLengthHeader": (411, "The Content-Length header is missing."),
    "MissingRequiredHeader": (400, "A header that the operation needs is missing."),
    "MissingRequiredQueryParameter": (400, "A query parameter that the operation needs is missing."),
    "NoAuthenticationInformation": (
        401,
        "The request carries no Authorization header; this stand-in wants Shared Key, over TLS a token.",
    ),
    "NotImplemented": (501, "The local stand-in does not implement this."),
    "OperationTimedOut": (500, "The operation did not end in time."),
    "OutOfRangeQueryParameterValue": (400, "A query parameter's value is outside its range."),
    "OutOfRangeInput": (400, "A value of the request is outside its range."),
    "RequestBodyTooLarge": (413, "The body is larger than the operation allows."),
    "ResourceNotFound": (404, "The resource does not exist."),
    "ServerBusy": (503, "The server is busy; try again later."),
    "TooManyRequests": (429, "There are too many requests; try again later."),
    "UnauthorizedBlobOverwrite": (403, "The shared access signature permits new blobs only, and there is one."),
    "UnsatisfiableCondition": (400, "The operation cannot meet this condition whatever there is."),
}


class Refusal(Exception):  # noqa: N818  # it is an answer on its way to the client, not a fault of the stand-in
    """An answer other than success, raised where it is decided and written to the wire in one place.

    Args:
        code: Azure's error code, one of the table above.
        detail: What in the request led here: the name of a header, parameter or operation.
        headers: What the answer carries beside its code.
    """

    def __init__(self, code: str, detail: str = "", headers: Mapping[str, str] | None = None) -> None:
        self.status, message = CODES[code]
        self.code = code
        self.message = f"{message} ({detail})" if detail else message
        self.headers = dict(headers or {})
        super().__init__(self.message)


class NotModified(Refusal):
    """The read was conditional and the client's copy is still good: the same code as 412, but 304 and no body."""

    def __init__(self) -> None:
        super().__init__("ConditionNotMet")
        self.status = 304
