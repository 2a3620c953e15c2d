"""The two files that the README says to copy are a worker by themselves."""

import subprocess
import sys
from pathlib import Path

import feedback_worker

SOURCE = Path(feedback_worker.__file__).parent


def test_the_files_to_copy_need_nothing_else_of_this_package(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for name in ("_models.py", "_feedback_worker.py"):
        copied = (SOURCE / name).read_text().replace("feedback_worker._models", "mine._models")
        (tmp_path / "mine" / name).write_text(copied)

    script = "import sys; from mine._feedback_worker import FeedbackWorker; print('feedback_worker' in sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, check=True, timeout=120, stdout=subprocess.PIPE, text=True
    )

    assert ran.stdout == "False\n"
