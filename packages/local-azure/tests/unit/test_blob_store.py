"""The Blob stand-in's store against a model of two dictionaries, whatever is done to it in whatever order."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from penstock_local_azure._blob._conditions import Conditions
from penstock_local_azure._blob._content import Content
from penstock_local_azure._blob._directory import Directory
from penstock_local_azure._blob._files import StoredFile
from penstock_local_azure._blob._listing import Query
from penstock_local_azure._blob._records import Block, BlockChoice, BlockSource, Description
from penstock_local_azure._blob._refusal import Refusal
from penstock_local_azure._blob._store import Store

CREATE_ONLY = Conditions(if_none_match=("*",))

containers = st.sampled_from(["logs", "results"])
names = st.sampled_from(["a", "a/1", "a/2", "a0", "b/c/d", "b/c", "ä", "\U0001f600"])
block_ids = st.sampled_from(["MDAw", "MDAx", "MDAy"])
contents = st.binary(max_size=8)
sources = st.sampled_from(BlockSource)


class StoreMachine(RuleBasedStateMachine):
    """Every rule does one thing to store and model, and compares what comes back."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000.0
        self.store = self.open_store()
        self.blobs: dict[str, dict[str, bytes]] = {}
        self.committed: dict[tuple[str, str], dict[str, bytes]] = {}
        self.staged: dict[tuple[str, str], dict[str, bytes]] = {}
        self.notes: dict[tuple[str, str], str] = {}
        self.etags: set[str] = set()

    def open_store(self) -> Store:
        return Store(lambda: self.now)

    def content(self, data: bytes) -> Content:
        """Data as it arrives over the wire."""
        writer = self.store.writer(len(data))
        for byte in data:
            writer.write(bytes([byte]))
        writer.close()
        return writer.content()

    def refused(self, container: str) -> str | None:
        return None if container in self.blobs else "ContainerNotFound"

    @rule(container=containers)
    def create_container(self, container: str) -> None:
        code = outcome(lambda: self.store.create_container(container))
        assert code == ("ContainerAlreadyExists" if container in self.blobs else None)
        self.blobs.setdefault(container, {})

    @rule(container=containers)
    def delete_container(self, container: str) -> None:
        assert outcome(lambda: self.store.delete_container(container)) == self.refused(container)
        self.blobs.pop(container, None)
        for table in (self.committed, self.staged, self.notes):
            for key in [key for key in table if key[0] == container]:
                del table[key]

    @rule(container=containers, name=names, data=contents, create_only=st.booleans())
    def put_blob(self, container: str, name: str, data: bytes, *, create_only: bool) -> None:
        conditions = CREATE_ONLY if create_only else Conditions()
        code = outcome(lambda: self.store.put_blob(container, name, self.content(data), Description(), conditions))
        expected = self.refused(container)
        if expected is None and create_only and name in self.blobs[container]:
            expected = "BlobAlreadyExists"
        assert code == expected
        if code is None:
            self.commit(container, name, data, {})

    @rule(container=containers, name=names, block_id=block_ids, data=contents)
    def put_block(self, container: str, name: str, block_id: str, data: bytes) -> None:
        code = outcome(lambda: self.store.put_block(container, name, Block(block_id, self.content(data))))
        assert code == self.refused(container)
        if container in self.blobs:
            self.staged.setdefault((container, name), {})[block_id] = data

    @rule(
        container=containers,
        name=names,
        wanted=st.lists(st.tuples(block_ids, sources), max_size=4),
        create_only=st.booleans(),
    )
    def put_block_list(
        self, container: str, name: str, wanted: list[tuple[str, BlockSource]], *, create_only: bool
    ) -> None:
        choices = [BlockChoice(*one) for one in wanted]
        conditions = CREATE_ONLY if create_only else Conditions()
        code = outcome(lambda: self.store.put_block_list(container, name, choices, Description(), conditions))
        found = [self.find(container, name, *one) for one in wanted]
        expected = self.refused(container)
        if expected is None and create_only and name in self.blobs[container]:
            expected = "BlobAlreadyExists"
        elif expected is None and None in found:
            expected = "InvalidBlockList"
        assert code == expected
        if code is None:
            blocks = [data for data in found if data is not None]
            ids = [block_id for block_id, _ in wanted]
            self.commit(container, name, b"".join(blocks), dict(zip(ids, blocks, strict=True)))

    @rule(container=containers, name=names)
    def delete_blob(self, container: str, name: str) -> None:
        expected = self.refused(container)
        if expected is None and name not in self.blobs[container]:
            expected = "BlobNotFound"
        assert outcome(lambda: self.store.delete_blob(container, name)) == expected
        if expected is None:
            del self.blobs[container][name]
            for table in (self.committed, self.staged, self.notes):
                table.pop((container, name), None)

    @rule(container=containers, name=names, note=st.sampled_from(["x", "y"]))
    def describe_blob(self, container: str, name: str, note: str) -> None:
        expected = self.refused(container)
        if expected is None and name not in self.blobs[container]:
            expected = "BlobNotFound"

        def change(before: Description) -> Description:
            return replace(before, metadata={"note": note})

        assert outcome(lambda: self.store.describe_blob(container, name, change)) == expected
        if expected is None:
            self.notes[container, name] = note
            self.note_etag(container, name)

    @rule(seconds=st.floats(min_value=-5, max_value=5))
    def step_the_clock(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.blobs)
    @rule(
        data=st.data(),
        prefix=st.sampled_from(["", "a", "a/", "b/", "x"]),
        delimiter=st.sampled_from(["", "/"]),
        limit=st.integers(1, 3),
    )
    def list_in_pages(self, data: st.DataObject, prefix: str, delimiter: str, limit: int) -> None:
        container = data.draw(st.sampled_from(sorted(self.blobs)))
        listed: list[str] = []
        marker = ""
        while True:
            query = Query(prefix=prefix, delimiter=delimiter, marker=marker, limit=limit)
            blobs, page = self.store.list_blobs(container, query)
            assert 0 < len(blobs) + len(page.prefixes) <= limit or not page.next_marker
            listed += sorted([*blobs, *page.prefixes])
            if not (marker := page.next_marker):
                break
        matching = [name for name in self.blobs[container] if name.startswith(prefix)]
        assert listed == sorted({fold(name, prefix, delimiter) for name in matching})

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        for container, blobs in self.blobs.items():
            assert {name: bytes(self.store.blob(container, name).content) for name in blobs} == blobs
            assert self.store.container(container).names == sorted(blobs)
        sizes = [len(data) for blobs in self.blobs.values() for data in blobs.values()]
        assert self.store.stats() == {
            "containers": len(self.blobs),
            "blobs": len(sizes),
            "bytes": sum(sizes),
            "staged_blocks": sum(len(blocks) for blocks in self.staged.values()),
        }

    @invariant()
    def holds_the_blocks_the_model_holds(self) -> None:
        for container, name in self.committed.keys() | self.staged.keys():
            staged, committed = self.store.blocks(container, name)
            assert {block.id: bytes(block.content) for block in staged} == self.staged.get((container, name), {})
            assert {block.id: bytes(block.content) for block in committed} == self.committed.get((container, name), {})

    @invariant()
    def tells_what_was_said_last(self) -> None:
        for container, blobs in self.blobs.items():
            for name in blobs:
                note = self.notes.get((container, name))
                metadata = self.store.blob(container, name).description.metadata
                assert metadata == ({} if note is None else {"note": note})

    def commit(self, container: str, name: str, data: bytes, blocks: dict[str, bytes]) -> None:
        self.blobs[container][name] = data
        self.committed[container, name] = blocks
        self.staged.pop((container, name), None)
        self.notes.pop((container, name), None)
        self.note_etag(container, name)

    def note_etag(self, container: str, name: str) -> None:
        etag = self.store.blob(container, name).etag
        assert etag not in self.etags, "every version has an ETag of its own, also when the clock steps back"
        self.etags.add(etag)

    def find(self, container: str, name: str, block_id: str, source: BlockSource) -> bytes | None:
        staged = self.staged.get((container, name), {}).get(block_id)
        committed = self.committed.get((container, name), {}).get(block_id)
        if source is BlockSource.LATEST:
            return committed if staged is None else staged
        return committed if source is BlockSource.COMMITTED else staged


class DirectoryMachine(StoreMachine):
    """The same on disk, where the store may end and begin anew at any time, and no file is left behind."""

    def open_store(self) -> Store:
        self.folder = TemporaryDirectory()
        self.medium = Directory(Path(self.folder.name))
        return self.reopened_store()

    def reopened_store(self) -> Store:
        store = Store(lambda: self.now, self.medium)
        store.open()
        return store

    @rule()
    def begin_anew(self) -> None:
        self.store.close()
        self.store = self.reopened_store()
        self.staged.clear()

    @invariant()
    def has_a_file_for_each_body_in_use_and_no_other(self) -> None:
        contents: list[Content] = []
        for container in map(self.store.container, self.blobs):
            contents += [blob.content for blob in container.blobs.values()]
            contents += [block.content for blocks in container.staged.values() for block in blocks.values()]
            contents += [block.content for blob in container.blobs.values() for block in blob.blocks]
        used = {part.name for content in contents for part in content.parts if isinstance(part, StoredFile)}
        assert {path.name for path in (Path(self.folder.name) / "bodies").iterdir()} == used

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()


def outcome(action: object) -> str | None:
    """The code an action is refused with, or None."""
    assert callable(action)
    try:
        action()
    except Refusal as refusal:
        return refusal.code
    return None


def fold(name: str, prefix: str, delimiter: str) -> str:
    """The entry under which a name is listed."""
    if not delimiter or delimiter not in name[len(prefix) :]:
        return name
    return name[: name.index(delimiter, len(prefix)) + len(delimiter)]


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestDirectory = DirectoryMachine.TestCase
TestDirectory.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
