"""Secrets cut out of log lines, just before they are written.

A line is searched as a whole, so it does not matter whether a secret came in the message, an argument, an extra or an
exception's text, nor which formatter made the line. Next to all lines are let through after a look for a few markers,
at the speed of memory; only where one is found, the patterns that go with it are tried.
"""

from __future__ import annotations

import re
import string
from typing import NamedTuple

MASK = "***"

_ASCII_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)

# What follows the name of a secret. In a line of JSON its own quotes stand bare, and those within its strings have
# backslashes before them. So a bare double quote opens a value only behind one that closes the name; what stands
# between others is read as far as the same number of backslashes closes it; and what is cut is never half of an escape.
_FIELD = r'"\s*:\s*\[?(?:"(?P<string>(?:[^"\\]|\\.)+)"|(?P<number>-?\d[\d.e+-]*))'
_FIELD_PAIR = r'"\s*,\s*"(?=[^"\s]{16})(?=[^"\d]*\d)(?P<string>(?:[^"\\]|\\.)+)"(?!\s*:)'
_PAIR = r"""(?:\\+"|\\*')\s*,\s*b?(?=\\*["'][^\s"'\\]{16})(?=\\*["'][^\s"'\\\d]*\d)"""
_ASSIGNED = r"""(?:\\+"|\\*')?\s*[:=]\s*[\[(]?(?:b(?=\\*["']))?"""
_QUOTED = (
    r"""(?:(?P<escape>\\+)"(?P<text>(?:[^"\\]|(?P=escape)\\(?:(?P=escape)["\\]|[^"\\])|\\[^"\\])+?)(?P=escape)\""""
    r"""|(?P<quote>\\*')(?P<word>(?:[^"'\\]|\\.)+?)(?<!\\)(?P=quote))"""
)
_SCHEME = r"(?:(?:bearer|basic|digest|negotiate|sharedkey|sharedkeylite|sharedaccesssignature)\s+)?"
_NOTHING = r"(?!(?:null|none|true|false|undefined)\b)"
_FIRST = r"""(?:[^\s"'\\&;,(){}\[\]<>=:`*]|\\[^"'nrt])"""
_NEXT = r"""(?:[^\s"'\\&;,)}\]]|\\[^"'nrt]|[,)}\]](?=[^\s"'\\&;,)}\]]))"""
_BARE = rf"""(?:\\*["'])?{_NOTHING}{_SCHEME}(?P<bare>{_FIRST}{_NEXT}*)"""
_VALUE = rf"(?:{_FIELD}|{_ASSIGNED}(?:{_QUOTED}|{_BARE}))"
_PAIRED_VALUE = rf"(?:{_FIELD_PAIR}|{_PAIR}{_QUOTED})"
_OPAQUE_VALUE = (
    rf"""(?:"\s*:\s*\[?"|{_ASSIGNED}(?:\\*["'])?)"""
    r"""(?=[a-z._~+/=-]{0,60}\d)(?P<bare>[a-z0-9._~+/=-]{20,})"""
)
_COOKIES = rf"""(?:{_FIELD}|{_ASSIGNED}(?:\\*["'])?(?P<bare>[^\s"'\\{{}}\[\](),:][^"'\\\r\n]*))"""

_KEYS = (
    *("access", "account", "api", "azure", "client", "cosmos", "counter", "encryption", "function", "functions"),
    *("master", "openai", "private", "redis", "search", "secret", "service", "shared", "signing", "storage"),
    "subscription",
)
_TOKENS = ("access", "api", "auth", "bearer", "csrf", "id", "refresh", "sas", "security", "session")


class _Pattern(NamedTuple):
    """One kind of secret, written in lower case.

    Attributes:
        marker: Without this text in a line, the pattern is not tried; `_has_marker` looks for it.
        expression: What to search for. The last group that takes part is the secret; without groups, all of it is.
        before: How many characters in front of the match belong to the secret too.
    """

    marker: str
    expression: re.Pattern[str]
    before: int = 0


def _after(word: str, names: tuple[str, ...]) -> str:
    """Match ``word`` as the end of one of these names, with or without a hyphen, underscore or space between."""
    forms = (f"(?<={name}{joint}{word})" for name in names for joint in ("", "[-_ ]"))
    return f"{word}(?:{'|'.join(forms)})"


def _named(marker: str, name: str) -> tuple[_Pattern, _Pattern]:
    return (
        _Pattern(marker, re.compile(name + _VALUE)),
        _Pattern(marker, re.compile(name + _PAIRED_VALUE)),
    )


_PATTERNS = (
    *_named("key", _after("key", _KEYS)),
    *_named("pass", "pass(?:word|wd|phrase)"),
    *_named("pwd", "pwd"),
    *_named("secret", "secret"),
    *_named("token", _after("token", _TOKENS)),
    _Pattern("token", re.compile("token" + _OPAQUE_VALUE)),
    *_named("authorization", "authorization"),
    _Pattern("cookie", re.compile("cookie" + _COOKIES)),
    _Pattern("cookie", re.compile("cookie" + _PAIRED_VALUE)),
    _Pattern("sig=", re.compile(r"""sig=(?<![a-z]sig=)(?P<bare>[^\s&"'\\;,)>]+)""")),
    _Pattern("bearer", re.compile(r"bearer\s+(?=[a-z._~+/-]*\d)(?P<bare>[a-z0-9._~+/-]{8,}=*)")),
    _Pattern("eyj", re.compile(r"eyj(?<![a-z0-9_-]eyj)[a-z0-9_-]{8,}\.[a-z0-9_-]{8,}(?:\.[a-z0-9_-]*)?")),
    _Pattern("sk-", re.compile(r"sk-(?<![a-z0-9_-]sk-)(?=[a-z_-]*\d)[a-z0-9_-]{20,}")),
    _Pattern("jqqj", re.compile(r"jqqj(?<=[a-z0-9]{52}jqqj)[a-z0-9]{28,32}={0,2}"), before=52),
    _Pattern("~", re.compile(r"q~(?<=[a-z0-9_~.-]{3}\dq~)[a-z0-9_~.-]{31,34}"), before=4),
    _Pattern("==", re.compile(r"==(?<=[a-z0-9+/]{86}==)"), before=86),
    _Pattern("@", re.compile(r"""://[^\s/:@"'\\]*:(?P<bare>[^\s/@"'\\]+)@""")),
    _Pattern("key", re.compile(r"private key-----(?P<bare>(?:[a-z0-9+/=\s:,-]|\\+[nr])+)")),
)
_BY_MARKER = {one.marker: [each for each in _PATTERNS if each.marker == one.marker] for one in _PATTERNS}


def redact_secrets(line: str) -> str:
    """Return the line with ``***`` in place of keys, passwords, tokens and signatures.

    Secrets are known by the name in front of them (``api_key=…``, ``'Authorization': '…'``, ``AccountKey=…``,
    ``sig=…``)
    and by their shape (bearer tokens, JSON web tokens, keys of Azure and OpenAI, private keys, passwords in URLs), in
    text as well as in JSON, also in JSON or a Python literal within a message. Valid JSON stays valid. The cost grows
    with the length of the line, and with nothing else.
    """
    lowered = line.lower()
    return _cut(line, lowered) if _has_marker(lowered) else line


def _has_marker(line: str) -> bool:
    """Say whether a line has any marker; rare letters are looked for first, in place of the markers they are in."""
    return (
        ("k" in line and ("key" in line or "token" in line or "cookie" in line or "sk-" in line))
        or ("j" in line and ("eyj" in line or "jqqj" in line))
        or ("=" in line and ("==" in line or "sig=" in line))
        or "pass" in line
        or "pwd" in line
        or "secret" in line
        or "authorization" in line
        or "bearer" in line
        or "~" in line
        or "@" in line
    )


def _cut(line: str, lowered: str) -> str:
    if len(lowered) != len(line):  # there is a letter that is longer in lower case
        lowered = line.translate(_ASCII_LOWER)
    candidates = (pattern for marker in _BY_MARKER if marker in lowered for pattern in _BY_MARKER[marker])
    masks = sorted(
        _mask(match, pattern.before) for pattern in candidates for match in pattern.expression.finditer(lowered)
    )
    pieces, end = [], 0
    for start, stop, mask in masks:
        if start >= end:
            pieces += [line[end:start], mask]
        end = max(end, stop)
    return "".join([*pieces, line[end:]])


def _mask(match: re.Match[str], before: int) -> tuple[int, int, str]:
    """Return where the secret begins and ends, and what to write there."""
    start, stop = match.span(match.lastgroup or 0)
    return start - before, stop, f'"{MASK}"' if match.lastgroup == "number" else MASK
