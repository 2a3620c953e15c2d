"""Which encoding a model or an Azure deployment uses, from its name or from a mapping given."""

import logging
import re
from collections.abc import Mapping
from typing import Final

import tiktoken

from ._encodings import DEFINITIONS, load

_logger = logging.getLogger(__name__)

FALLBACK: Final = "o200k_base"
"""For names that say nothing: every chat model published since May 2024 uses it."""

# Families as they occur in model names (OpenAI's and Azure's spelling); the longest one found decides.
_FAMILIES: Final = {
    "gpt-3.5": "cl100k_base",
    "gpt-35": "cl100k_base",
    "gpt-4": "cl100k_base",
    "text-embedding": "cl100k_base",
    "davinci-002": "cl100k_base",
    "babbage-002": "cl100k_base",
    "gpt-4o": "o200k_base",
    "gpt-4.1": "o200k_base",
    "gpt-4.5": "o200k_base",
    "gpt-5": "o200k_base",
    "gpt-oss": "o200k_base",
    "o1": "o200k_base",
    "o3": "o200k_base",
    "o4": "o200k_base",
}
# Only whole words count: "pro1" is not "o1".
_FAMILY = re.compile(
    r"(?<![a-z0-9])(" + "|".join(sorted(map(re.escape, _FAMILIES), key=len, reverse=True)) + r")(?![a-z0-9])"
)
_warned: set[str] = set()


def encoding_for(model_or_deployment: str, mapping: Mapping[str, str] | None = None) -> tiktoken.Encoding:
    """Return the encoding of a model, a deployment or an encoding's own name, without environment or network.

    The first rule that applies decides; names are compared without regard to case:

    1. ``mapping`` has the name: its value, an encoding's or a model's name, is used instead.
    2. The name is an encoding this package ships: ``o200k_base`` or ``cl100k_base``.
    3. The name contains a known model family as a whole word: ``team-a-gpt-4o-mini`` is ``gpt-4o``.
    4. Otherwise ``o200k_base``, with one warning per name and process.

    Args:
        model_or_deployment: for example ``gpt-4o``, ``gpt-35-turbo`` or an Azure deployment's name.
        mapping: deployment name to encoding or model name, for deployments whose names say nothing.

    Raises:
        TypeError: ``model_or_deployment`` is no string.
        ValueError: the name is blank, or ``mapping`` maps it to a name that rules 2 and 3 do not know.
        VocabularyError: the installed vocabulary file is damaged.
    """
    return load(encoding_name_for(model_or_deployment, mapping) or _fallback(_folded(model_or_deployment)))


def encoding_name_for(model_or_deployment: str, mapping: Mapping[str, str] | None = None) -> str | None:
    """Return the name of the encoding that rules 1 to 3 of `encoding_for` give; None if none of them applies.

    Nothing is loaded and nothing logged: a check for those who had rather refuse a name than guess.
    """
    name = _folded(model_or_deployment)
    return _mapped(name, mapping or {}) or _known(name)


def _folded(model_or_deployment: str) -> str:
    """Return a name as names are compared."""
    if not isinstance(model_or_deployment, str):
        raise TypeError(f"model_or_deployment must be a string, not {type(model_or_deployment).__name__}")
    name = model_or_deployment.strip().casefold()
    if not name:
        raise ValueError("model_or_deployment must not be blank")
    return name


def _mapped(name: str, mapping: Mapping[str, str]) -> str | None:
    """Apply rule 1."""
    target = next((value for key, value in mapping.items() if key.strip().casefold() == name), None)
    if target is None:
        return None
    encoding = _known(target.strip().casefold())
    if encoding is None:
        raise ValueError(f"mapping gives {name!r} the value {target!r}, neither an encoding nor a known model")
    return encoding


def _known(name: str) -> str | None:
    """Apply rules 2 and 3."""
    if name in DEFINITIONS:
        return name
    families = _FAMILY.findall(name)
    return _FAMILIES[max(families, key=len)] if families else None


def _fallback(name: str) -> str:
    """Apply rule 4."""
    if name not in _warned:
        _warned.add(name)
        _logger.warning("no known model in the name %r: counting with %s; a mapping would say", name, FALLBACK)
    return FALLBACK
