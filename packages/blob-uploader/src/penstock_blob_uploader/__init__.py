"""Files to Azure Blob Storage, whole, under one name, in the background."""

from penstock_blob_uploader._errors import (
    AccessDeniedError,
    AccountUnreachableError,
    Conflict,
    ContainerMissingError,
    FileChangedError,
    FileUnreadableError,
    FileVanishedError,
    InvalidBlobNameError,
    JournalError,
    NotAFileError,
    NotUploadedError,
    RefusedError,
    SetupError,
    SourceError,
    TransferError,
    UnavailableError,
    UploaderClosedError,
    UploadError,
)
from penstock_blob_uploader._handle import Upload
from penstock_blob_uploader._order import Overwrite
from penstock_blob_uploader._outcomes import Created, Outcome, Replaced, Same
from penstock_blob_uploader._progress import Progress
from penstock_blob_uploader._statistics import Statistics
from penstock_blob_uploader._uploader import AsyncBlobStorageUploader

__all__ = [
    "AccessDeniedError",
    "AccountUnreachableError",
    "AsyncBlobStorageUploader",
    "Conflict",
    "ContainerMissingError",
    "Created",
    "FileChangedError",
    "FileUnreadableError",
    "FileVanishedError",
    "InvalidBlobNameError",
    "JournalError",
    "NotAFileError",
    "NotUploadedError",
    "Outcome",
    "Overwrite",
    "Progress",
    "RefusedError",
    "Replaced",
    "Same",
    "SetupError",
    "SourceError",
    "Statistics",
    "TransferError",
    "UnavailableError",
    "Upload",
    "UploadError",
    "UploaderClosedError",
]
