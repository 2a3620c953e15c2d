"""How queues, topics and subscriptions are written on the command line: `NAME`, or `NAME:OPTION,OPTION`."""

from collections.abc import Iterable, Sequence
from math import isfinite, nan
from typing import Any, Final

from ._service_bus import Queue, Subscription, Topic

_SECONDS: Final = {"dedupe": "duplicate_detection", "lock": "lock_duration", "ttl": "time_to_live"}
_FLAGS: Final = {"session": "requires_session"}

QUEUE_OPTIONS: Final = ("dedupe", "lock", "ttl", "session")
TOPIC_OPTIONS: Final = ("dedupe",)
SUBSCRIPTION_OPTIONS: Final = ("lock", "ttl", "session")


def syntax(name: str, options: Sequence[str], seconds: str) -> str:
    """Return how an entity with these options is written, with a word for seconds."""
    return f"{name}:{','.join(f'{option}={seconds}' if option in _SECONDS else option for option in options)}"


def read_queues(texts: Iterable[str]) -> list[Queue]:
    """Read queues.

    Raises:
        ValueError: one is not written as it should be.
    """
    return [Queue(name, **options) for name, options in (_read("--queue", text, QUEUE_OPTIONS) for text in texts)]


def read_topics(topics: Iterable[str], subscriptions: Iterable[str]) -> list[Topic]:
    """Read topics with their subscriptions; naming a subscription is enough to have its topic.

    Raises:
        ValueError: one is not written as it should be.
    """
    declared = [_read("--topic", text, TOPIC_OPTIONS) for text in topics]
    of_topic: dict[str, list[Subscription]] = {name: [] for name, _ in declared}
    for text in subscriptions:
        path, options = _read("--subscription", text, SUBSCRIPTION_OPTIONS)
        topic, slash, name = path.rpartition("/")
        if not slash:
            raise ValueError(f"--subscription takes TOPIC/NAME, not {text!r}")
        of_topic.setdefault(topic, []).append(Subscription(name, **options))
    implied = of_topic.keys() - dict(declared).keys()
    return [
        *(Topic(name, of_topic[name], **options) for name, options in declared),
        *(Topic(name, of_topic[name]) for name in sorted(implied)),
    ]


def _read(argument: str, text: str, allowed: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Take a name and its options apart, the latter as arguments of a declaration."""
    name, _, options = text.partition(":")
    return name, dict(_read_option(option, argument, text, allowed) for option in options.split(",") if options)


def _read_option(option: str, argument: str, text: str, allowed: Sequence[str]) -> tuple[str, Any]:
    key, equals, value = option.partition("=")
    if key not in allowed or bool(equals) != (key in _SECONDS):
        raise ValueError(f"{argument} takes NAME or {syntax('NAME', allowed, 'SECONDS')}, not {text!r}")
    return (_SECONDS[key], _read_seconds(value, argument, text)) if equals else (_FLAGS[key], True)


def _read_seconds(value: str, argument: str, text: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = nan
    if not isfinite(seconds):
        raise ValueError(f"the seconds in {argument} {text!r} are no number")
    return seconds
