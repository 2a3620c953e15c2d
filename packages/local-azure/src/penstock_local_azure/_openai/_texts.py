"""Strings that an answer may hold: sentences, formats, and the odd ones that programs forget about."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Final

_PROSE: Final = (
    "answer arrival before box calm change customer day delay delivery early easy every fair family few friendly good "
    "help hour invoice kind late letter line long manual missing month narrow never often open order paper part phone "
    "price promise quiet refund reply return room same season service shop simple size slow small soon store strong "
    "support team thank time tracking truck urgent very wait warm week wrong year"
)
_WORDS: Final = _PROSE.split()
_UNICODE: Final = (
    "Größe und Maß: 12 €, naïve façade “quoted”",
    "配送が三日遅れました。返金をお願いします。",
    "שלום, ההזמנה הגיעה فارغة",
    "👩🏽‍🚀🎉 e\u0301 \u200b\ufeff\U0010ffff",
    'a "quote", a \\ backslash,\na new line\tand a tab',
    "null",
    "<|endoftext|> {{name}} </script>",
)
_LONGEST_EDGE: Final = 400
"""Code points; a longer maximum is not filled to the brim."""


@dataclass(frozen=True, slots=True)
class Format:
    """A named format: how a value is drawn, and the least and greatest length it can have."""

    draw: Callable[[Random], str]
    lengths: tuple[int, int]


def sentence(random: Random) -> str:
    """Draw a sentence of plain words."""
    words = random.choices(_WORDS, k=random.randint(5, 14))
    return f"{' '.join(words).capitalize()}."


def text(random: Random, shortest: int, longest: int | None) -> str:
    """Draw a sentence that keeps to the bounds."""
    return _fit(random, sentence(random), shortest, longest)


def edge_text(random: Random, shortest: int, longest: int | None) -> str:
    """Draw a string from the edge of what is allowed: the shortest, the longest, or one in unusual characters."""
    lengths = [shortest]
    if longest is not None and longest <= _LONGEST_EDGE:
        lengths.append(longest)
    if random.randrange(2):
        length = random.choice(lengths)
        return _fit(random, sentence(random), length, length)
    return _fit(random, random.choice(_UNICODE), shortest, longest)


def _fit(random: Random, start: str, shortest: int, longest: int | None) -> str:
    """Lengthen or cut a string until it keeps to the bounds."""
    while len(start) < shortest:
        start = f"{start} {sentence(random)}" if start else sentence(random)
    return start if longest is None else start[:longest]


def _date(random: Random) -> str:
    return f"{random.randint(1970, 2099):04}-{random.randint(1, 12):02}-{random.randint(1, 28):02}"


def _time(random: Random) -> str:
    return f"{random.randrange(24):02}:{random.randrange(60):02}:{random.randrange(60):02}Z"


def _date_time(random: Random) -> str:
    return f"{_date(random)}T{_time(random)}"


def _duration(random: Random) -> str:
    return f"P{random.randint(1, 9)}DT{random.randrange(10)}H{random.randrange(10)}M"


def _hostname(random: Random) -> str:
    return f"h{random.randrange(1000):03}.example.com"


def _email(random: Random) -> str:
    return f"u{random.randrange(1000):03}@example.com"


def _uri(random: Random) -> str:
    return f"https://example.com/{random.randrange(1000):03}"


def _ipv4(random: Random) -> str:
    return f"192.0.2.{random.randrange(256)}"


def _ipv6(random: Random) -> str:
    return f"2001:db8::{random.randrange(1, 0x10000):x}"


def _uuid(random: Random) -> str:
    digits = f"{random.getrandbits(128):032x}"
    # Version 4, variant 1 (RFC 9562).
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


FORMATS: Final[Mapping[str, Format]] = {
    "date": Format(_date, (10, 10)),
    "date-time": Format(_date_time, (20, 20)),
    "duration": Format(_duration, (8, 8)),
    "email": Format(_email, (16, 16)),
    "hostname": Format(_hostname, (16, 16)),
    "ipv4": Format(_ipv4, (9, 11)),
    "ipv6": Format(_ipv6, (11, 14)),
    "time": Format(_time, (9, 9)),
    "uri": Format(_uri, (23, 23)),
    "uuid": Format(_uuid, (36, 36)),
}
"""Those that structured outputs know, and `uri`, which pydantic writes for URLs."""
