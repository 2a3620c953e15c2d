"""Simulated hours of a fleet before Azure's limits: our counter beside what the field does instead.

Discrete events on a virtual clock. The judge is written after Azure's documentation; ours is the real ledger, line and
closed loop of token-client. Every number is that of the scenario without its first two minutes.

    uv run python packages/token-counter/bench/quota_simulation.py [--quick] [--brief] [--json]
"""

import argparse
import sys

from simulation_plan import PLAN, run_all
from simulation_report import print_json, print_table

SEEDS, OTHER_SEEDS, QUICK_SEEDS = 10, 3, 2
BRIEF = ("S1", "S5")
QUICK = 600.0
"""Seconds that a scenario takes in a quick run, at most."""


def main() -> int:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="two seeds, ten minutes each, few peers")
    parser.add_argument("--brief", action="store_true", help="few peers, and tables of S1 and S5 only")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    if options.quick:
        found = run_all(seeds=QUICK_SEEDS, other_seeds=0, longest=QUICK)
    else:
        found = run_all(seeds=SEEDS, other_seeds=0 if options.brief else OTHER_SEEDS)
    if options.json:
        print_json(found)
    else:
        print_table(found, BRIEF if options.brief else tuple(PLAN))
    return 0


if __name__ == "__main__":
    sys.exit(main())
