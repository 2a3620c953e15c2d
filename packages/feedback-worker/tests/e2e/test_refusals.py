"""What cannot be run is refused in one sentence that says what to do, with status 2 and no traceback."""

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Start = Callable[..., Any]

AZURE = {
    "SERVICE_BUS_CONNECTION_STRING": "Endpoint=sb://127.0.0.1:9;SharedAccessKeyName=n;SharedAccessKey=a2V5;"
    "UseDevelopmentEmulator=true",
    "AZURE_OPENAI_ENDPOINT": "http://127.0.0.1:9",
    "AZURE_OPENAI_DEPLOYMENT_NAME": "gpt-4o",
    "AZURE_OPENAI_API_KEY": "canary-key",
    "TOKEN_COUNTER_URL": "http://127.0.0.1:9",
}


def assert_one_sentence(complaints: str, *words: str) -> None:
    lines = complaints.strip().splitlines()
    assert len(lines) == 1, complaints
    assert lines[0].endswith(".")
    assert "Traceback" not in complaints
    for word in words:
        assert word in lines[0]


@pytest.mark.parametrize(("name", "content"), [("gone.txt", None), ("latin.txt", b"caf\xe9"), ("empty.csv", b"")])
async def test_an_unreadable_input_is_refused(run_job: Start, tmp_path: Path, name: str, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)

    run = run_job("--local", "--input", str(tmp_path / name))

    assert await run.end() == 2
    assert_one_sentence(run.complaints, name)


async def test_a_counter_that_is_not_there_is_named(run_job: Start) -> None:
    run = run_job(environment=AZURE)

    assert await run.end() == 2
    assert_one_sentence(run.complaints, "http://127.0.0.1:9", "penstock-token-counter", "TOKEN_COUNTER_URL")


@pytest.mark.parametrize(
    "variable", ["AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_DEPLOYMENT_NAME", "SERVICE_BUS_CONNECTION_STRING"]
)
async def test_a_missing_variable_is_named(run_job: Start, counter_url: str, variable: str) -> None:
    run = run_job(environment={**AZURE, "TOKEN_COUNTER_URL": counter_url, variable: " "})

    assert await run.end() == 2
    assert_one_sentence(run.complaints, variable, "--local")
    assert "canary-key" not in run.complaints


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("SERVICE_BUS_NAMESPACE", "other.servicebus.windows.net", "SERVICE_BUS_NAMESPACE"),
        ("AZURE_OPENAI_ENDPOINT", "no-scheme.example.com", "AZURE_OPENAI_ENDPOINT"),
        ("AZURE_OPENAI_DEPLOYMENT_NAME", "chat-prod", "AZURE_OPENAI_MODEL"),
    ],
)
async def test_a_setting_that_only_a_worker_can_judge_is_named_once(
    run_job: Start, counter_url: str, variable: str, value: str, named: str
) -> None:
    run = run_job(environment={**AZURE, "TOKEN_COUNTER_URL": counter_url, variable: value})

    assert await run.end() == 2
    assert_one_sentence(run.complaints, named)


@pytest.mark.parametrize("arguments", [["--tpm", "0"], ["--messages", "-3"], ["--workers", "two"], ["--judge", "mild"]])
async def test_a_bad_option_is_refused(run_job: Start, arguments: list[str]) -> None:
    run = run_job("--local", *arguments)

    assert await run.end() == 2
    assert arguments[0] in run.complaints.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("module", "option"),
    [
        ("penstock_token_counter", "--port"),
        ("penstock_local_azure", "--openai-port"),
        ("penstock_local_azure", "--blob-port"),
        ("penstock_local_azure", "--service-bus-port"),
    ],
)
def test_a_port_in_use_is_named(module: str, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", module, option, port, "--tpm", "1000", "--rpm", "60"]

        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert ended.returncode == 2
    assert_one_sentence(ended.stderr, port)
