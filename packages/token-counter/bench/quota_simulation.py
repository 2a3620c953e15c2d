"""Simulated hours of a fleet before Azure's limits: our counter beside what the field does instead.

Discrete events on a virtual clock. The judge is written after Azure's documentation; ours is the real ledger, line and
closed loop of token-client. Every number is that of the scenario without its first two minutes.

    uv run python packages/token-counter/bench/quota_simulation.py [--quick] [--brief] [--json]
"""

import argparse
import sys

from simulation_plan import BRIEF, PLAN, run_all
from simulation_report import print_json, print_table

SEEDS, OTHER_SEEDS, QUICK_SEEDS = 10, 3, 2
QUICK = {"S1": 1800.0, "": 600.0}
"""Seconds that scenarios take in a quick run, at most; in S1 something has to be learned."""


def main() -> int:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="as --brief, with two seeds and shorter runs")
    parser.add_argument("--brief", action="store_true", help="nothing but the claims, and S1 and S5 with few peers")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    brief = options.quick or options.brief
    if options.quick:
        found = run_all(seeds=QUICK_SEEDS, other_seeds=0, longest=QUICK)
    else:
        found = run_all(seeds=SEEDS, other_seeds=0 if brief else OTHER_SEEDS)
    if options.json:
        print_json(found)
    else:
        print_table(found, BRIEF if brief else tuple(PLAN))
    return 0


if __name__ == "__main__":
    sys.exit(main())
