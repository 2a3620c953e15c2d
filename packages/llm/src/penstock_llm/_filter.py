"""What Azure's content filter says about a prompt or an answer."""

from collections.abc import Mapping


def struck(results: object) -> tuple[str, ...]:
    """List the categories that stopped something.

    Args:
        results: Azure's ``content_filter_results``: a verdict with a flag ``filtered`` under each category's name.
    """
    found = results.items() if isinstance(results, Mapping) else ()
    return tuple(name for name, verdict in found if isinstance(verdict, Mapping) and verdict.get("filtered"))
