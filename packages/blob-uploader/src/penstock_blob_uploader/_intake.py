"""What a caller says becomes an order: checked, looked at, named. Nothing is sent."""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from penstock_blob_uploader._naming import NameTemplate, blob_name_for
from penstock_blob_uploader._order import Order, Overwrite, check_metadata
from penstock_blob_uploader._reading import examine


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """Makes orders, and knows what holds for those that say nothing else."""

    template: NameTemplate
    overwrite: Overwrite
    gzip: bool

    async def order(
        self,
        path: str | os.PathLike[str],
        *,
        blob_name: str | None,
        app_name: str | None,
        metadata: Mapping[str, str] | None,
        content_type: str | None,
        overwrite: Overwrite | None,
        gzip: bool | None,
        delete: bool,
    ) -> Order:
        """Check everything that can be checked without sending anything.

        Raises:
            ValueError: Metadata or ``overwrite`` cannot be used.
            SourceError: The file cannot.
            InvalidBlobNameError: The name cannot.
        """
        check_metadata(metadata or {})
        check_overwrite(overwrite or self.overwrite)
        name = None if blob_name is None else blob_name_for(blob_name, app_name=app_name)
        located = _absolute(path)
        snapshot = await asyncio.to_thread(examine, located)
        return Order(
            path=located,
            blob_name=name or self.template.name_for(located, snapshot.mtime_ns, app_name=app_name),
            snapshot=snapshot,
            metadata=dict(metadata or {}),
            content_type=content_type,
            overwrite=overwrite or self.overwrite,
            gzip=self.gzip if gzip is None else gzip,
            delete=delete,
        )


def check_overwrite(mode: str) -> None:
    """Refuse a mode there is not; whoever has no type checker may well write ``True``.

    Raises:
        ValueError: Names the modes there are.
    """
    modes = get_args(Overwrite)
    if mode not in modes:
        raise ValueError(f"overwrite must be one of {', '.join(map(repr, modes))}.")


def _absolute(path: str | os.PathLike[str]) -> Path:
    """Return the full path: the working directory may be another one when the file's turn comes."""
    return Path(path).absolute()
