"""Where and as whom to ask: arguments first, then the environment, then defaults; checked before anything is sent."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

DEFAULT_SCOPE: Final = "https://cognitiveservices.azure.com/.default"


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Which resource to ask, and as whom."""

    endpoint: str
    api_key: str | None = field(repr=False)
    """None: Entra ID."""
    api_version: str | None
    """None: the v1 route."""
    scope: str


def read_deployment(model: str | None, environment: Mapping[str, str] = os.environ) -> str:
    """Return the deployment's name.

    Raises:
        ValueError: It is missing or blank.
    """
    return _Chooser(environment).required("model", model, "AZURE_OPENAI_DEPLOYMENT_NAME")


def read_encodings(
    deployment: str, encodings: Mapping[str, str] | None, environment: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Return the models of deployments as given, and what the environment says of the one that it names."""
    said = dict(encodings or {})
    chosen = _Chooser(environment)
    model = chosen.optional("encodings", None, "AZURE_OPENAI_MODEL")
    if model is not None and deployment == chosen.optional("model", None, "AZURE_OPENAI_DEPLOYMENT_NAME"):
        said.setdefault(deployment, model)
    return said


def read_settings(
    *,
    endpoint: str | None,
    api_key: str | None,
    api_version: str | None,
    scope: str | None,
    credential_given: bool,
    environment: Mapping[str, str] = os.environ,
) -> Settings:
    """Combine arguments and environment.

    Raises:
        ValueError: Something is missing, malformed or said twice; the message names argument and variable.
    """
    if credential_given and api_key is not None:
        raise ValueError("give api_key or credential, not both")
    chosen = _Chooser(environment)
    return Settings(
        endpoint=_url(chosen.required("endpoint", endpoint, "AZURE_OPENAI_ENDPOINT")),
        api_key=None if credential_given else chosen.optional("api_key", api_key, "AZURE_OPENAI_API_KEY"),
        api_version=chosen.optional("api_version", api_version, "AZURE_OPENAI_API_VERSION"),
        scope=chosen.optional("scope", scope, "AZURE_OPENAI_SCOPE") or DEFAULT_SCOPE,
    )


class _Chooser:
    """Chooses between an argument and its variable; unset, empty and blank are the same in the environment."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def optional(self, argument: str, given: str | None, variable: str) -> str | None:
        """Return what is said, if anything."""
        if given is None:
            return self._environment.get(variable, "").strip() or None
        if not isinstance(given, str) or not given.strip():
            raise ValueError(f"{argument} must be a string that is not blank")
        return given.strip()

    def required(self, argument: str, given: str | None, variable: str) -> str:
        """Return what is said, or say what is missing."""
        value = self.optional(argument, given, variable)
        if value is None:
            raise ValueError(f"{argument} is missing: pass {argument}= or set {variable}")
        return value


def _url(endpoint: str) -> str:
    """Return the resource's address, without the path of an API."""
    try:
        parts = urlsplit(endpoint)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(
            "endpoint (AZURE_OPENAI_ENDPOINT) must be a URL with scheme, such as https://NAME.openai.azure.com"
        )
    return endpoint.rstrip("/").removesuffix("/v1").removesuffix("/openai")
