"""The account's containers and blobs: what exists, and what a write may do to it.

Synchronous and whole: every method either changes the store completely or raises and changes nothing, so a request that
breaks off in the middle of its body leaves no trace. What it raises is :class:`Refusal`, or OSError when the medium
cannot keep the change.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

from ._conditions import ALWAYS, Conditions
from ._content import Content
from ._listing import Page, Query, page
from ._medium import Medium, Memory, Writer
from ._names import check_blob_name, check_container_name
from ._records import Block, BlockChoice, BlockSource, Container, Description, StoredBlob
from ._refusal import Refusal

_TICKS: Final = 10_000_000  # per second: the resolution of an ETag
_TICKS_AT_EPOCH: Final = 0x89F_7FF5_F7B5_8000  # so that ETags look like Azure's, which count from the year 1


class Store:
    """One storage account.

    Args:
        clock: Seconds since the epoch.
        medium: Where it is kept; None: in memory.
    """

    def __init__(self, clock: Callable[[], float], medium: Medium | None = None) -> None:
        self._clock = clock
        self._medium = medium or Memory()
        self._containers: dict[str, Container] = {}
        self._last_tick = 0

    def open(self) -> None:
        """Begin, with what the medium kept of an earlier run."""
        for container in self._medium.open():
            self._containers[container.name] = container
            etags = [container.etag, *(blob.etag for blob in container.blobs.values())]
            self._last_tick = max(self._last_tick, *(int(etag.strip('"'), 16) - _TICKS_AT_EPOCH for etag in etags))

    def close(self) -> None:
        """End; nothing changes any more."""
        self._medium.close()

    def writer(self, length: int) -> Writer:
        """What takes in a body of so many bytes, for a blob or a block."""
        return self._medium.writer(length)

    # Containers.

    def create_container(self, name: str, metadata: Mapping[str, str] | None = None) -> Container:
        """Create an empty container; ContainerAlreadyExists, or InvalidResourceName for a name Azure would not take."""
        check_container_name(name)
        if name in self._containers:
            raise Refusal("ContainerAlreadyExists")
        etag, now = self._new_version()
        return self._keep(Container(name=name, metadata=dict(metadata or {}), etag=etag, modified=now))

    def ensure_containers(self, names: Iterable[str]) -> None:
        """Create those of these containers that are missing."""
        for name in names:
            if name not in self._containers:
                self.create_container(name)

    def container(self, name: str) -> Container:
        """The container of this name, or ContainerNotFound."""
        if name not in self._containers:
            raise Refusal("ContainerNotFound")
        return self._containers[name]

    def set_container_metadata(
        self, name: str, metadata: Mapping[str, str], conditions: Conditions = ALWAYS
    ) -> Container:
        """Put other metadata in place of a container's."""
        container = self.container(name)
        conditions.check_write(container)
        etag, now = self._new_version()
        return self._keep(replace(container, metadata=dict(metadata), etag=etag, modified=now))

    def delete_container(self, name: str, conditions: Conditions = ALWAYS) -> None:
        """Remove a container with all it holds."""
        conditions.check_write(self.container(name))
        self._medium.drop_container(name)
        del self._containers[name]

    def list_containers(self, query: Query) -> tuple[list[Container], Page]:
        """One page of containers, by name."""
        found = page(sorted(self._containers), query)
        return [self._containers[name] for name in found.names], found

    # Blobs.

    def put_blob(
        self, container: str, name: str, content: Content, description: Description, conditions: Conditions = ALWAYS
    ) -> StoredBlob:
        """Write a whole blob; blocks staged under its name are dropped."""
        home = self.container(container)
        _check_commit(home.blobs.get(name), conditions)
        return self._commit(home, name, content, description)

    def blob(self, container: str, name: str, conditions: Conditions = ALWAYS) -> StoredBlob:
        """The committed blob of this name, or ContainerNotFound or BlobNotFound; the conditions are those of a read."""
        found = self.container(container).blobs.get(name)
        conditions.check_read(found)
        if found is None:
            raise Refusal("BlobNotFound")
        return found

    def has_blob(self, container: str, name: str) -> bool:
        """Whether there is a committed blob of this name."""
        return container in self._containers and name in self._containers[container].blobs

    def describe_blob(
        self, container: str, name: str, change: Callable[[Description], Description], conditions: Conditions = ALWAYS
    ) -> StoredBlob:
        """Change what is said of a blob beside its bytes: a new version of the same content."""
        home = self.container(container)
        before = home.blobs.get(name)
        conditions.check_write(before)
        if before is None:
            raise Refusal("BlobNotFound")
        etag, now = self._new_version()
        blob = replace(before, description=change(before.description), etag=etag, modified=now)
        self._medium.save_blob(container, name, blob)
        home.blobs[name] = blob
        return blob

    def delete_blob(self, container: str, name: str, conditions: Conditions = ALWAYS) -> None:
        """Remove a blob and the blocks staged under its name."""
        home = self.container(container)
        conditions.check_write(home.blobs.get(name))
        if name not in home.blobs:
            raise Refusal("BlobNotFound")
        self._medium.drop_blob(container, name)
        del home.blobs[name]
        del home.names[bisect_left(home.names, name)]
        home.staged.pop(name, None)

    def list_blobs(self, container: str, query: Query) -> tuple[dict[str, StoredBlob], Page]:
        """One page of committed blobs, by name; blobs that are only staged do not show."""
        home = self.container(container)
        found = page(home.names, query)
        return {name: home.blobs[name] for name in found.names}, found

    # Blocks.

    def put_block(self, container: str, name: str, block: Block) -> None:
        """Stage a block under a blob's name; one with the same id is replaced.

        Raises:
            Refusal: InvalidBlobOrBlock, unless its id is as long as those of the blob's other staged blocks.
        """
        home = self.container(container)
        check_blob_name(name)
        staged = home.staged.get(name, {})
        if staged and len(next(iter(staged))) != len(block.id):
            raise Refusal("InvalidBlobOrBlock")
        home.staged.setdefault(name, {})[block.id] = block

    def put_block_list(
        self,
        container: str,
        name: str,
        choices: Iterable[BlockChoice],
        description: Description,
        conditions: Conditions = ALWAYS,
    ) -> StoredBlob:
        """Make a blob of the blocks chosen, in their order; staged blocks left over are dropped.

        Raises:
            Refusal: InvalidBlockList when a block is not where the list says; BlobAlreadyExists or ConditionNotMet,
                which are looked at only here, not when the blocks arrive.
        """
        home = self.container(container)
        _check_commit(home.blobs.get(name), conditions)
        staged, committed = self.blocks(container, name)
        by_source = {
            BlockSource.COMMITTED: {block.id: block for block in committed},
            BlockSource.UNCOMMITTED: {block.id: block for block in staged},
        }
        by_source[BlockSource.LATEST] = by_source[BlockSource.COMMITTED] | by_source[BlockSource.UNCOMMITTED]
        try:
            blocks = tuple(by_source[choice.source][choice.id] for choice in choices)
        except KeyError:
            raise Refusal("InvalidBlockList") from None
        content = Content.joined(block.content for block in blocks)
        return self._commit(home, name, content, description, blocks)

    def blocks(self, container: str, name: str) -> tuple[list[Block], tuple[Block, ...]]:
        """The staged blocks of a blob, by id, and its committed ones, in their order; both may be empty."""
        home = self.container(container)
        staged = home.staged.get(name, {})
        committed = home.blobs[name].blocks if name in home.blobs else ()
        return [staged[block_id] for block_id in sorted(staged)], committed

    # Accounts.

    def stats(self) -> dict[str, int]:
        """How many containers, committed blobs, their bytes, and blocks that wait to be committed there are."""
        containers = self._containers.values()
        blobs = [blob for container in containers for blob in container.blobs.values()]
        return {
            "containers": len(containers),
            "blobs": len(blobs),
            "bytes": sum(blob.content.length for blob in blobs),
            "staged_blocks": sum(len(blocks) for container in containers for blocks in container.staged.values()),
        }

    def _keep(self, container: Container) -> Container:
        """Put a container in place of what is there."""
        self._medium.save_container(container)
        self._containers[container.name] = container
        return container

    def _commit(
        self,
        home: Container,
        name: str,
        content: Content,
        description: Description,
        blocks: tuple[Block, ...] = (),
    ) -> StoredBlob:
        """Put a new version in place of what is there."""
        check_blob_name(name)
        etag, now = self._new_version()
        blob = StoredBlob(content=content, description=description, etag=etag, created=now, modified=now, blocks=blocks)
        self._medium.save_blob(home.name, name, blob)
        if name not in home.blobs:
            insort(home.names, name)
        home.blobs[name] = blob
        home.staged.pop(name, None)
        return blob

    def _new_version(self) -> tuple[str, float]:
        """An ETag never given before, even when the clock stands still or steps back, and the time."""
        now = self._clock()
        self._last_tick = max(self._last_tick + 1, int(now * _TICKS))
        return f'"0x{_TICKS_AT_EPOCH + self._last_tick:X}"', now


def _check_commit(before: StoredBlob | None, conditions: Conditions) -> None:
    """Refuse a commit whose conditions are not met; creating what is there already has a code of its own."""
    if before is not None and conditions.create_only:
        raise Refusal("BlobAlreadyExists")
    conditions.check_write(before)
