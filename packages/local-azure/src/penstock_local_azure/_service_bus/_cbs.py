"""Claims-based security: the `$cbs` node, where a client puts the tokens that let it attach links."""

from typing import Final

from ._authorization import Grants
from ._errors import ARGUMENT_ERROR, NOT_IMPLEMENTED, AmqpError
from ._namespace import path_of
from ._requests import Dialect, Reply, Request

CBS_DIALECT: Final = Dialect("status-code", "status-description", "error-condition")

_SAS = "servicebus.windows.net:sastoken"
_TOKEN_TYPES = ("jwt", _SAS)
_SAS_SCHEME = "SharedAccessSignature "
"""What a token signed with a key begins with: the SDK names some of them `jwt`."""


def answer_cbs(grants: Grants, request: Request) -> Reply:
    """Answer a request to `$cbs`: put-token is all there is."""
    if request.operation != "put-token":
        return Reply(501, f"$cbs does not know the operation {request.operation!r}", condition=NOT_IMPLEMENTED)
    token_type = request.properties.get("type")
    if token_type not in _TOKEN_TYPES:
        return Reply(400, f"$cbs does not know the token type {token_type!r}", condition=ARGUMENT_ERROR)
    if not isinstance(request.body, str | bytes) or not request.body:
        return Reply(400, "put-token without a token", condition=ARGUMENT_ERROR)
    token = request.body if isinstance(request.body, str) else request.body.decode("utf-8", "replace")
    is_key = token_type == _SAS or token.startswith(_SAS_SCHEME)
    try:
        grants.put(path_of(request.properties.get("name", "")), token, is_key=is_key)
    except AmqpError as error:
        return Reply(401, error.description, condition=error.condition)
    return Reply(202, "Accepted")
