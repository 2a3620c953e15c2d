"""The command, as a process of its own: what it prints, when it ends, and what it says when it cannot start."""

import asyncio
import json
import shlex
import signal
import socket
import ssl
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from penstock_local_azure import Queue, Subscription, Topic
from penstock_local_azure._command_line import read_command

PATIENCE = 30.0
"""Seconds for a whole test; a machine under load starts Python slowly."""


@asynccontextmanager
async def command(*arguments: str, stdin: int = DEVNULL) -> AsyncIterator[Process]:
    """Run the command, and see to it that it ends with the test."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "penstock_local_azure", *arguments, stdin=stdin, stdout=PIPE, stderr=PIPE
    )
    try:
        async with asyncio.timeout(PATIENCE):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def line_of(process: Process) -> str:
    assert process.stdout
    return (await process.stdout.readline()).decode().rstrip("\n")


async def test_json_tells_the_environment_and_where_the_accounts_are() -> None:
    # Its standard input has ended before it began, which it does not mind unless told to.
    async with command("--json", "--queue", "in:dedupe=600,lock=5", "--container", "files", "--tpm", "7") as process:
        ready: dict[str, Any] = json.loads(await line_of(process))
        with await asyncio.to_thread(urlopen, ready["stats_url"]) as response:
            stats = json.load(response)

        assert ready["v"] == 1
        assert ready["environment"]["AZURE_OPENAI_DEPLOYMENT_NAME"] == "gpt-4o"
        assert ready["environment"]["AZURE_STORAGE_CONTAINER"] == "files"
        assert stats["service_bus"]["queues"].keys() == {"in"}
        assert stats["openai"]["deployments"]["gpt-4o"]["tpm"] == 7


async def test_with_tls_the_environment_leads_to_an_identity_and_holds_no_key_of_a_service() -> None:
    async with command("--json", "--tls", "--token-lifetime", "60", "--queue", "in") as process:
        environment: dict[str, str] = json.loads(await line_of(process))["environment"]
        ca_file = Path(environment["SSL_CERT_FILE"])
        assert len(ssl.create_default_context(cafile=ca_file).get_ca_certs()) == 1
        process.terminate()
        await process.wait()

    assert not {name for name in environment if name.endswith(("KEY", "CONNECTION_STRING"))}
    assert environment.keys() >= {"SERVICE_BUS_NAMESPACE", "AZURE_STORAGE_ACCOUNT", "IDENTITY_ENDPOINT"}
    assert not await asyncio.to_thread(ca_file.exists)


async def test_blobs_can_be_kept_in_a_directory_by_one_process_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "blobs"
    async with command("--json", "--blob-dir", str(folder), "--container", "files") as first:
        await line_of(first)
        async with command("--blob-dir", str(folder)) as second:
            _, complaint = await second.communicate()

    assert second.returncode == 2
    assert complaint.decode().startswith(f"penstock-local-azure: Blob Storage cannot be kept in {folder}: ")
    assert (folder / "records.sqlite").exists()


def test_entities_are_read_with_their_options() -> None:
    asked = ["--queue", "in:session,ttl=60", "--topic", "news:dedupe=600", "--subscription", "news/one:lock=5"]

    command = read_command([*asked, "--subscription", "other/one:session"])

    assert command.azure.service_bus.entities == (
        Queue("in", requires_session=True, time_to_live=60.0),
        Topic("news", [Subscription("one", lock_duration=5.0)], duplicate_detection=600.0),
        Topic("other", [Subscription("one", requires_session=True)]),
    )


async def test_export_lines_are_what_a_shell_reads() -> None:
    async with command("--deployment", "it's mine") as process:
        lines = [await line_of(process) for _ in range(5)]

    exported = dict(shlex.split(line)[1].split("=", 1) for line in lines)
    assert all(line.startswith("export ") for line in lines)
    assert exported["AZURE_OPENAI_DEPLOYMENT_NAME"] == "it's mine"
    assert exported["SERVICE_BUS_CONNECTION_STRING"].endswith("UseDevelopmentEmulator=true")


async def _send_signal(process: Process, number: signal.Signals) -> None:
    process.send_signal(number)


async def _end_stdin(process: Process) -> None:
    assert process.stdin
    process.stdin.close()


@pytest.mark.parametrize(
    "end",
    [
        lambda process: _send_signal(process, signal.SIGINT),
        lambda process: _send_signal(process, signal.SIGTERM),
        _end_stdin,
    ],
    ids=["SIGINT", "SIGTERM", "end of stdin"],
)
async def test_it_ends_when_told_to_and_tells_the_draw(end: Callable[[Process], Awaitable[None]]) -> None:
    async with command("--json", "--seed", "5", "--stop-with-stdin", stdin=PIPE) as process:
        await line_of(process)

        await end(process)
        _, said = await process.communicate()

    assert process.returncode == 0
    first, last = said.decode().splitlines()
    assert "not Azure" in first
    assert "the judge of gpt-4o was hidden: " in last
    assert last.endswith("(seed 5).")


async def test_quiet_it_says_nothing_on_standard_error() -> None:
    async with command("--json", "--quiet", "--stop-with-stdin", stdin=PIPE) as process:
        await line_of(process)

        await _end_stdin(process)
        _, said = await process.communicate()

    assert process.returncode == 0
    assert said == b""


async def test_a_port_in_use_is_one_sentence_and_status_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        async with command("--openai-port", port) as process:
            printed, said = await process.communicate()

    assert process.returncode == 2
    assert printed == b""
    assert said.decode() == (
        f"penstock-local-azure: Azure OpenAI cannot listen on port {port} of 127.0.0.1, which is in use: "
        "end what uses it or choose another port, 0 for a free one.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--tpm", "-5"], "tpm must be at least 1, not -5"),
        (["--rpm", "0"], "rpm must be at least 1, not 0"),
        (["--tpm", "many"], "--tpm"),
        (["--latency", "-1"], "latency must be 0 or more seconds"),
        (["--judge", "fair"], "--judge"),
        (["--blob-port", "70000"], "--blob-port"),
        (["--queue", "in:dedupe=soon"], "'in:dedupe=soon'"),
        (["--queue", "in:lock=nan"], "'in:lock=nan'"),
        (["--queue", "in:speed=5"], "NAME:dedupe=SECONDS"),
        (["--queue", "in:session=1"], "'in:session=1'"),
        (["--queue", "in:ttl"], "'in:ttl'"),
        (["--queue", "in:ttl=0"], "time_to_live must be positive"),
        (["--topic", "news:lock=5"], "--topic takes NAME or NAME:dedupe=SECONDS, not"),
        (["--subscription", "news"], "--subscription takes TOPIC/NAME, not 'news'"),
        (["--subscription", "news/one", "--subscription", "news/One"], "twice"),
        (["--queue", "in", "--queue", "in"], "twice"),
        (["--deployment", " "], "name must not be blank"),
        (["--container", "No_Container"], "No_Container"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_a_wrong_argument_is_one_sentence_and_status_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], named: str
) -> None:
    with pytest.raises(SystemExit) as exit_:
        read_command(arguments)

    (sentence,) = capsys.readouterr().err.splitlines()
    assert exit_.value.code == 2
    assert named in sentence


async def test_an_address_of_another_machine_is_one_sentence_and_status_2() -> None:
    async with command("--host", "192.0.2.1") as process:
        _, said = await process.communicate()

    assert process.returncode == 2
    assert said.decode().startswith("penstock-local-azure: Service Bus cannot listen on 192.0.2.1, port 0: choose")
    assert said.count(b"\n") == 1
