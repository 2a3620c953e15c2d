"""JSON as models write it and as schemas are counted."""

import json


def compact_json(value: object) -> str:
    """Write JSON without spaces and escapes."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
