"""kill -9, again and again, while messages flow; counted at the far ends as sets of ids.

`PENSTOCK_SURVIVAL` is "quick" (seconds) or "full" (minutes, 5,000 messages).
"""

import os
import random
import time
from collections.abc import Callable
from typing import Any

FULL = os.environ.get("PENSTOCK_SURVIVAL") == "full"
MESSAGES = 5_000 if FULL else 600
KILLS = 60 if FULL else 6
Start = Callable[..., Any]


async def test_killed_workers_lose_no_message_no_answer_and_no_log_line(run_job: Start) -> None:
    draw = random.Random(1)
    rate = ("--tpm", "100000000", "--rpm", "60000", "--judge", "exact")
    run = run_job("--local", "--messages", str(MESSAGES), "--lock-duration", "5", *rate)
    await run.in_the_middle()

    for _ in range(KILLS):
        wait_until = time.monotonic() + draw.uniform(0.2, 1.5)
        await run.until(lambda until=wait_until: time.monotonic() >= until)
        draw.choice(await run.until_there_are("feedback_worker._worker")).kill()
    facts = await run.facts(within=600)

    assert facts["messages"]["in"] == facts["messages"]["answered"] == MESSAGES
    assert (facts["messages"]["lost"], facts["messages"]["duplicates"]) == (0, 0)
    assert (facts["logs"]["missing"], facts["logs"]["doubled"]) == (0, 0)
    assert facts["logs"]["files_shipped"] > 2, "no worker was killed after it had begun to work"
    assert facts["quota"]["http_429"] == 0
