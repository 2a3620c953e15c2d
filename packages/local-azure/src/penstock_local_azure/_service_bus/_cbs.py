"""Claims-based security: the `$cbs` node, where a client puts the tokens that let it attach links.

Tokens are taken as they come: on loopback there is nobody to keep out.
"""

from typing import Final

from ._errors import ARGUMENT_ERROR, NOT_IMPLEMENTED
from ._requests import Dialect, Reply, Request

CBS_DIALECT: Final = Dialect("status-code", "status-description", "error-condition")

_TOKEN_TYPES = ("jwt", "servicebus.windows.net:sastoken")


def answer_cbs(request: Request) -> Reply:
    """Answer a request to `$cbs`: put-token is all there is."""
    if request.operation != "put-token":
        return Reply(501, f"$cbs does not know the operation {request.operation!r}", condition=NOT_IMPLEMENTED)
    token_type = request.properties.get("type")
    if token_type not in _TOKEN_TYPES:
        return Reply(400, f"$cbs does not know the token type {token_type!r}", condition=ARGUMENT_ERROR)
    if not isinstance(request.body, str | bytes) or not request.body:
        return Reply(400, "put-token without a token", condition=ARGUMENT_ERROR)
    return Reply(202, "Accepted")
