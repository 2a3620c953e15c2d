"""The token service of a managed identity, as App Service puts it beside an app.

Source: Microsoft, "How to use managed identities for App Service and Azure Functions", REST endpoint reference.
"""

from collections import Counter
from hmac import compare_digest
from typing import Final

from aiohttp import web

from ._issuer import Issuer

TOKEN_PATH: Final = "/msi/token"  # noqa: S105  # a path
_API_VERSION: Final = "2019-08-01"


class TokenService:
    """Answers whoever knows the secret with a token for the resource asked for.

    Args:
        issuer: issues the tokens.
        header: the secret that a request must show in ``X-IDENTITY-HEADER``.
    """

    def __init__(self, issuer: Issuer, header: str) -> None:
        self.issued: Counter[str] = Counter()
        """How many tokens were issued, by resource."""
        self._issuer = issuer
        self._header = header.encode()

    def application(self) -> web.Application:
        """Return the service as an application."""
        application = web.Application()
        application.router.add_get(TOKEN_PATH, self._answer)
        return application

    async def _answer(self, request: web.Request) -> web.Response:
        shown = request.headers.get("X-IDENTITY-HEADER", "")
        if not compare_digest(shown.encode("utf-8", "surrogateescape"), self._header):
            return _refusal(401, "The X-IDENTITY-HEADER is missing or is not this service's.")
        if request.query.get("api-version") != _API_VERSION:
            return _refusal(400, f"The local token service knows api-version {_API_VERSION} only.")
        if not (resource := request.query.get("resource")):
            return _refusal(400, "The query parameter 'resource' is missing.")
        token = self._issuer.issue(resource)
        self.issued[resource] += 1
        return web.json_response(
            {
                "access_token": token.text,
                "expires_on": str(token.expires_on),
                "resource": resource,
                "token_type": "Bearer",
                "client_id": request.query.get("client_id", "00000000-0000-0000-0000-000000000000"),
            }
        )


def _refusal(status: int, message: str) -> web.Response:
    return web.json_response({"statusCode": status, "message": message}, status=status)
