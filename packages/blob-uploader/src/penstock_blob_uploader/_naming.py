"""Which name a file gets in the container. Pure: the same path always gets the same name.

The rules are those of Azure's "Naming and Referencing Containers, Blobs, and Metadata": 1 to 1,024 characters, at most
254 path segments, no control characters, no segment that ends with a dot; a backslash may be read as a slash.
"""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import PurePath
from string import Formatter

from penstock_blob_uploader._errors import InvalidBlobNameError

MAX_CHARACTERS = 1024
MAX_SEGMENTS = 254

_FIELDS = ("app", "name", "stem", "suffix", "folder", "date", "year", "month", "day", "hour")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NONCHARACTERS = frozenset({0xFFFE, 0xFFFF})
_DIGEST_LENGTH = 16


def blob_name_for(blob_name: str, *, app_name: str | None = None) -> str:
    """Return ``[app_name/]blob_name``; a name you chose yourself is never altered.

    Raises:
        InvalidBlobNameError: The given names cannot be used.
    """
    name = blob_name if app_name is None else f"{_checked_app(app_name)}/{blob_name}"
    check_blob_name(name)
    return name


class NameTemplate:
    """Names files by what is known of them without reading them, so that a file always gets the same name.

    Args:
        text: A name with fields in braces: ``{app}``, the ``app_name`` given with the file; ``{name}``, the file's
            name, of which ``{stem}`` and ``{suffix}`` are the parts before and from its last dot; ``{folder}``, the
            name of the directory it is in; ``{date}`` (``2026-11-26``), ``{year}``, ``{month}``, ``{day}`` and
            ``{hour}`` of its last modification, in UTC. A path segment that comes out empty is left out.

    Raises:
        ValueError: It names another field, or none that tells files apart.
    """

    def __init__(self, text: str = "{app}/{name}") -> None:
        self._text = text
        fields = _fields_of(text)
        unknown = fields - set(_FIELDS)
        if unknown:
            raise ValueError(
                f"name_template has no field {', '.join(map(repr, sorted(unknown)))}: there are {', '.join(_FIELDS)}."
            )
        if not fields & {"name", "stem"}:
            raise ValueError("name_template must hold {name} or {stem}: otherwise all files would get the same name.")

    def name_for(self, path: PurePath, mtime_ns: int, *, app_name: str | None = None) -> str:
        """Return a file's blob name.

        What a file name may hold and a blob name may not is percent-encoded; what is too long is cut and told apart
        by a digest.

        Raises:
            InvalidBlobNameError: The given name of the app cannot be used, or the time is in no calendar.
        """
        app = "" if app_name is None else _checked_app(app_name)
        return name_from(self._text.format_map(_values(path, mtime_ns, app)))


def name_from(text: str) -> str:
    """Return the blob name that a path with slashes becomes: without empty segments, encoded, cut if it is too long.

    Raises:
        InvalidBlobNameError: No name comes of it.
    """
    name = _shortened("/".join(_encoded(segment) for segment in text.split("/") if segment))
    check_blob_name(name)
    return name


def _fields_of(template: str) -> set[str]:
    """Return the names of a template's fields, with whatever else stands in their braces."""
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"name_template cannot be read ({error}): write a literal brace twice.") from error
    return {
        field + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
        for _, field, spec, conversion in parts
        if field is not None
    }


def _values(path: PurePath, mtime_ns: int, app: str) -> dict[str, str]:
    """Return what the fields of a template stand for."""
    try:
        modified = _EPOCH + timedelta(microseconds=mtime_ns // 1000)
    except OverflowError as error:
        raise InvalidBlobNameError(f"{path} was last modified in no year of the calendar.") from error
    values = (app, path.name, path.stem, path.suffix, path.parent.name, *modified.strftime("%F %Y %m %d %H").split())
    return dict(zip(_FIELDS, values, strict=True))


def _checked_app(app_name: str) -> str:
    """Return an app's name without slashes at its ends."""
    name = app_name.strip("/")
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
