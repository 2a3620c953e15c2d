"""The two ways to refuse a JSON Schema; both name the place in it, neither quotes its values."""

from ._api_error import ApiError, bad_request, not_implemented


def invalid(why: str, path: str) -> ApiError:
    """Return the answer to a schema that Azure would refuse, too."""
    return bad_request(f"Invalid schema: at {path or '/'}, {why}.")


def not_drawn(what: str, path: str) -> ApiError:
    """Return the answer to a schema that Azure may accept, but for which this stand-in draws no values."""
    return not_implemented(f"{what} at {path or '/'} of the schema")
