"""Which name a file gets in the container. Pure: the same path always gets the same name.

The rules are those of Azure's "Naming and Referencing Containers, Blobs, and Metadata": 1 to 1,024 characters, at most
254 path segments, no control characters, no segment that ends with a dot; a backslash may be read as a slash.
"""

import hashlib
from pathlib import PurePath

from penstock_blob_uploader._errors import InvalidBlobNameError

MAX_CHARACTERS = 1024
MAX_SEGMENTS = 254

_NONCHARACTERS = frozenset({0xFFFE, 0xFFFF})
_DIGEST_LENGTH = 16


def blob_name_for(path: PurePath, *, blob_name: str | None = None, app_name: str | None = None) -> str:
    """Return the blob name for a file: ``[app_name/]blob_name``, by default ``[app_name/]file name``.

    A file name may hold characters that a blob name may not; they are percent-encoded. A name you chose yourself is
    never altered.

    Raises:
        InvalidBlobNameError: The given names cannot be used.
    """
    name = _encoded(path.name) if blob_name is None else blob_name
    if app_name is not None:
        prefix = app_name.strip("/")
        check_blob_name(prefix)
        name = f"{prefix}/{name}"
    if blob_name is None:
        name = _shortened(name)
    check_blob_name(name)
    return name


def check_blob_name(name: str) -> None:
    """Refuse a name that Blob Storage would refuse or that a URL would turn into another one.

    Raises:
        InvalidBlobNameError: Says which rule the name breaks.
    """
    fault = _fault_of(name)
    if fault is not None:
        raise InvalidBlobNameError(f"The blob name {name[:80]!r} ({len(name)} characters) cannot be used: {fault}.")


def _fault_of(name: str) -> str | None:
    """Return the first rule that ``name`` breaks, or None."""
    segments = name.split("/")
    rules = {
        "it is empty": not name,
        f"it has more than {MAX_CHARACTERS} characters": len(name) > MAX_CHARACTERS,
        f"it has more than {MAX_SEGMENTS} path segments": len(segments) > MAX_SEGMENTS,
        "it has an empty path segment": "" in segments,
        "a path segment ends with a dot": any(segment.endswith(".") for segment in segments),
        "it holds a backslash or a character without a meaning": not all(map(_is_legal, name)),
    }
    return next((rule for rule, broken in rules.items() if broken), None)


def _is_legal(character: str) -> bool:
    """Tell whether a blob name may hold this character: no control, surrogate or noncharacter, no backslash."""
    code = ord(character)
    is_control = code < 0x20 or 0x7F <= code <= 0x9F  # noqa: PLR2004 - the C0 and C1 blocks and DEL
    is_surrogate = 0xD800 <= code <= 0xDFFF  # noqa: PLR2004 - bytes of a file name that are no UTF-8
    return not (is_control or is_surrogate or code in _NONCHARACTERS or character == "\\")


def _encoded(file_name: str) -> str:
    """Percent-encode what a file name may hold and a blob name may not, and its dots at the end."""
    stem = file_name.rstrip(".")
    dots = len(file_name) - len(stem)
    legal = "".join(character if _is_legal(character) else _percent(character) for character in stem)
    return legal + "%2E" * dots


def _percent(character: str) -> str:
    """Write one character as its percent-encoded UTF-8, or as the raw byte a surrogate stands for."""
    stands_for_byte = 0xDC80 <= ord(character) <= 0xDCFF  # noqa: PLR2004 - PEP 383
    octets = character.encode("utf-8", "surrogateescape" if stands_for_byte else "surrogatepass")
    return "".join(f"%{octet:02X}" for octet in octets)


def _shortened(name: str) -> str:
    """Cut a name that is too long, and tell it from others cut alike by a digest of the whole."""
    if len(name) <= MAX_CHARACTERS:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST_LENGTH]
    return f"{name[: MAX_CHARACTERS - _DIGEST_LENGTH - 1]}~{digest}"
