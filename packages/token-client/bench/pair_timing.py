"""How `ledger.py` times rows in processes of their own: one line names a row and seconds, one line answers its rate."""

import json
import sys
import time
from collections.abc import Callable, Mapping

Run = Callable[[int], None]
"""Does so many pairs."""

CHUNK = 100


def rate(run: Run, seconds: float) -> float:
    """Return how many pairs a second something does, chunk by chunk for so many seconds."""
    done, began = 0, time.perf_counter()
    until = began + seconds
    while (now := time.perf_counter()) < until:
        run(CHUNK)
        done += CHUNK
    return done / (now - began)


def serve(rows: Mapping[str, Callable[[], Run]]) -> None:
    """Measure what standard input names, until it ends; each row is set up when it is first named, and warmed up."""
    ready: dict[str, Run] = {}
    for line in sys.stdin:
        order = json.loads(line)
        name = order["row"]
        if name not in ready:
            ready[name] = rows[name]()
            ready[name](CHUNK)
        print(json.dumps({"rate": rate(ready[name], order["seconds"])}), flush=True)
