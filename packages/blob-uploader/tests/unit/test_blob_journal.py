"""The journal: what comes back, who may have it, and what a bad one is called."""

import asyncio
import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from penstock_blob_uploader import JournalError, _journal
from penstock_blob_uploader._intents import Arrived, Change, Finished, Intent, PutOff, Queued
from penstock_blob_uploader._journal import Journal
from penstock_blob_uploader._journal_file import JournalFile
from penstock_blob_uploader._order import Order
from penstock_blob_uploader._reading import Snapshot

BOX = "https://acc.blob.example/box"


def order(name: str, **options: object) -> Order:
    snapshot = Snapshot(size=3, mtime_ns=1_790_000_000_123_456_789, inode=2**63 - 1)
    return Order(path=Path("/data") / name, blob_name=name, snapshot=snapshot, **options)  # type: ignore[arg-type]  # options vary by test


def held(path: Path) -> list[Intent]:
    """What the next process finds."""
    file = JournalFile(path, BOX)
    try:
        return file.read()
    finally:
        file.close()


def filled(path: Path, *names: str) -> list[Intent]:
    """A journal at rest that holds orders of these names."""
    file = JournalFile(path, BOX)
    file.write([Queued(ticket, order(name)) for ticket, name in enumerate(names, 1)])
    file.close()
    return held(path)


def as_if_killed(path: Path, place: Path) -> Path:
    """A copy of what would be left if the process that holds the journal were killed now."""
    place.mkdir()
    for part in path.parent.glob(f"{path.name}*"):
        shutil.copy(part, place)
    return place / path.name


def test_orders_come_back_as_they_were_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    orders = [
        order("b", metadata={"team": "feedback"}, content_type="text/plain", delete=True),
        order("a"),
        order("bytes \udcff that are no text\n"),
    ]
    file = JournalFile(tmp_path / "new" / "journal", BOX)
    file.write([Queued(ticket, each) for ticket, each in enumerate(orders, 7)])
    file.close()

    assert held(tmp_path / "new" / "journal") == [
        Intent(ticket, each, failures=0, not_before=0, arrived=False) for ticket, each in enumerate(orders, 7)
    ]


def test_what_became_of_them_comes_back_too(tmp_path: Path) -> None:
    filled(tmp_path / "j", "again", "there", "done", "untouched")
    file = JournalFile(tmp_path / "j", BOX)
    file.write([PutOff(1, 5, 1_790_000_300.5), Arrived(2), Finished(3)])
    file.close()

    again, there, untouched = held(tmp_path / "j")

    assert (again.failures, again.not_before, again.arrived) == (5, 1_790_000_300.5, False)
    assert (there.order.blob_name, there.arrived) == ("there", True)
    assert (untouched.order.blob_name, untouched.failures) == ("untouched", 0)


def test_changes_are_written_all_together_or_not_at_all(tmp_path: Path) -> None:
    before = filled(tmp_path / "j", "a")
    file = JournalFile(tmp_path / "j", BOX)

    with pytest.raises(JournalError):
        file.write([Finished(1), Queued(2, order("b")), Queued(2, order("c"))])
    file.close()

    assert held(tmp_path / "j") == before


def test_one_uploader_has_it_at_a_time(tmp_path: Path) -> None:
    first = JournalFile(tmp_path / "j", BOX)
    with pytest.raises(JournalError, match="another uploader uses it") as refusal:
        JournalFile(tmp_path / "j", BOX)
    first.close()

    assert refusal.value.environment
    assert held(tmp_path / "j") == []


def test_it_is_the_file_of_the_name_given_whatever_that_holds(tmp_path: Path) -> None:
    name = "a?vfs=none&mode=ro#b%20 c"

    assert len(filled(tmp_path / name, "f")) == 1
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    file = JournalFile(tmp_path / "j", BOX)
    file.write([Queued(1, order("a"))])

    assert {path.name: path.stat().st_mode & 0o077 for path in tmp_path.iterdir()} == {"j": 0, "j-wal": 0}
    file.close()


def test_uploads_for_another_container_are_refused_as_long_as_there_are_any(tmp_path: Path) -> None:
    filled(tmp_path / "j", "a")
    with pytest.raises(JournalError, match=r"1 uploads for https://acc\.blob\.example/box, not for https://other/box"):
        JournalFile(tmp_path / "j", "https://other/box")

    file = JournalFile(tmp_path / "j", BOX)
    file.write([Finished(1)])
    file.close()

    JournalFile(tmp_path / "j", "https://other/box").close()


def test_a_newer_version_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    filled(tmp_path / "j", "a")
    database = sqlite3.connect(tmp_path / "j")
    database.execute("PRAGMA user_version = 2")
    database.close()
    before = (tmp_path / "j").read_bytes()

    with pytest.raises(JournalError, match="version 2 of the format and this uploader knows 1"):
        JournalFile(tmp_path / "j", BOX)

    assert (tmp_path / "j").read_bytes() == before


def test_a_database_of_something_else_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "j")
    database.execute("CREATE TABLE uploads (path TEXT)")
    database.close()
    before = (tmp_path / "j").read_bytes()

    with pytest.raises(JournalError, match="something else"):
        JournalFile(tmp_path / "j", BOX)

    assert (tmp_path / "j").read_bytes() == before


@pytest.mark.parametrize("content", [b"no database\n" * 1000, b"SQLite format 3\x00" + bytes(4080)])
def test_a_file_that_is_no_journal_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "j").write_bytes(content)

    with pytest.raises(JournalError, match="damaged: move it away"):
        JournalFile(tmp_path / "j", BOX)

    assert (tmp_path / "j").read_bytes() == content


def test_an_empty_file_is_a_new_journal(tmp_path: Path) -> None:
    (tmp_path / "j").touch()

    assert held(tmp_path / "j") == []


def test_a_path_where_no_file_can_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(JournalError, match="cannot be opened"):
        JournalFile(tmp_path, BOX)
    with pytest.raises(JournalError, match="cannot be made"):
        JournalFile(tmp_path / "file" / "j", BOX)
    with pytest.raises(JournalError, match="NUL"):
        JournalFile(tmp_path / "a\0b", BOX)


def test_a_damaged_journal_is_refused_or_gives_back_exactly_what_it_held(tmp_path: Path) -> None:
    before = filled(tmp_path / "j", *(f"file-{n}" for n in range(60)))
    whole = (tmp_path / "j").read_bytes()
    chance = random.Random(20)
    refused = 0

    for n in range(120):
        spoilt = bytearray(whole)
        if n % 4 == 0:
            del spoilt[chance.randrange(1, len(spoilt)) :]
        else:
            at = chance.randrange(len(spoilt))
            spoilt[at : at + chance.choice([1, 16])] = chance.randbytes(1) * chance.choice([1, 16])
        path = tmp_path / f"spoilt-{n}"
        path.write_bytes(spoilt)
        try:
            assert held(path) == before
        except JournalError:
            refused += 1

    assert 60 <= refused < 120


def test_a_single_bit_in_a_name_is_noticed(tmp_path: Path) -> None:
    filled(tmp_path / "j", "file-6")
    whole = (tmp_path / "j").read_bytes()
    (tmp_path / "j").write_bytes(whole.replace(b'"blob_name": "file-6"', b'"blob_name": "file-7"'))

    with pytest.raises(JournalError, match="damaged"):
        held(tmp_path / "j")


async def test_what_was_added_is_durable_when_add_returns(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    await journal.open(BOX)

    for n in range(3):
        await journal.add(order(f"f{n}"))
        left = held(as_if_killed(tmp_path / "j", tmp_path / f"killed-{n}"))
        assert [intent.order for intent in left] == [order(f"f{m}") for m in range(n + 1)]

    await journal.aclose()


async def test_tickets_go_on_where_they_ended(tmp_path: Path) -> None:
    filled(tmp_path / "j", "a", "b")
    journal = Journal(tmp_path / "j")

    intents = await journal.open(BOX)
    ticket = await journal.add(order("c"))
    await journal.aclose()

    assert ticket == 3
    assert [intent.order.blob_name for intent in [*intents, held(tmp_path / "j")[-1]]] == ["a", "b", "c"]


async def test_thirty_producers_share_their_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int] = []
    write = JournalFile.write

    def counted(file: JournalFile, changes: list[Queued]) -> None:
        batches.append(len(changes))
        write(file, changes)

    monkeypatch.setattr(JournalFile, "write", counted)
    journal = Journal(tmp_path / "j")
    await journal.open(BOX)

    async def produce(producer: int) -> None:
        for n in range(10):
            await journal.add(order(f"{producer}-{n}"))

    await asyncio.gather(*(produce(producer) for producer in range(30)))
    await journal.aclose()

    assert sum(batches) == len(held(tmp_path / "j")) == 300
    assert len(batches) <= 40


async def test_closing_writes_what_nobody_waits_for(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", wall=lambda: 1000.0)
    await journal.open(BOX)
    first, second = await journal.add(order("a")), await journal.add(order("b"))
    journal.finished(first)
    journal.put_off(second, failures=2, delay=30.0)

    await journal.aclose()

    (left,) = held(tmp_path / "j")
    assert (left.ticket, left.failures, left.not_before) == (second, 2, 1030.0)


async def test_a_producer_that_gives_up_waiting_leaves_no_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    await journal.open(BOX)
    adding = asyncio.create_task(journal.add(order("a")))
    await asyncio.sleep(0)

    adding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await adding
    await journal.aclose()

    assert held(tmp_path / "j") == []


async def test_a_journal_that_cannot_be_used_is_let_go_of(tmp_path: Path) -> None:
    filled(tmp_path / "j", "a")

    with pytest.raises(JournalError, match="not for"):
        await Journal(tmp_path / "j").open("https://other/box")

    assert len(held(tmp_path / "j")) == 1


class Disk:
    """Stands between the journal and its file, and refuses while it is full."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        self.refused = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._write = JournalFile.write
        monkeypatch.setattr(JournalFile, "write", lambda file, changes: self.write(file, changes))  # noqa: PLW0108 - a function becomes a method, a method does not
        monkeypatch.setattr(_journal, "RETRY_AFTER", 0.01)

    def write(self, file: JournalFile, changes: list[Change]) -> None:
        if self.full:
            self._loop.call_soon_threadsafe(self.refused.set)
            raise JournalError("the disk is full")
        self._write(file, changes)


async def test_what_nobody_waits_for_is_written_when_the_disk_has_room_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    disk, journal = Disk(monkeypatch), Journal(tmp_path / "j")
    await journal.open(BOX)
    done, refused = await journal.add(order("done")), await journal.add(order("refused"))
    disk.full = True

    journal.finished(done)
    journal.put_off(refused, failures=1, delay=0)
    with pytest.raises(JournalError, match="full"):
        await journal.add(order("never queued"))
    arriving = asyncio.create_task(journal.arrived(refused))
    await asyncio.wait_for(disk.refused.wait(), 10)
    assert not arriving.done(), "nothing is deleted on a word that is not written"
    disk.full = False
    await asyncio.wait_for(arriving, 10)

    (left,) = held(as_if_killed(tmp_path / "j", tmp_path / "killed"))
    assert (left.order.blob_name, left.failures, left.arrived) == ("refused", 1, True)
    assert len([record for record in caplog.records if "full" in record.getMessage()]) == 1
    await journal.aclose()
