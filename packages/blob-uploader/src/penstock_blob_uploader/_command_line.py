"""What `penstock-upload` can be told."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn, get_args

from penstock_blob_uploader._errors import InvalidBlobNameError
from penstock_blob_uploader._naming import NameTemplate, check_blob_name
from penstock_blob_uploader._order import Overwrite

PROGRAM: Final = "penstock-upload"

_DESCRIPTION: Final = (
    "Uploads files, and directories with all that is in them, to a container of Azure Blob Storage. Run it again to go "
    "on where it stopped: what is there already is not sent again."
)
_ENVIRONMENT: Final = (
    "Where to: AZURE_STORAGE_ACCOUNT (name or URL) or AZURE_STORAGE_CONNECTION_STRING, and AZURE_STORAGE_CONTAINER, "
    "unless the options say. Without a key or SAS it signs in as Azure's tools do (az login, managed identity, ...). "
    "Exit status: 0, everything is there; 1, some files are not; 2, it was called wrongly; 3, the setup must be "
    "mended; 130 or 143, it was interrupted."
)

_OPTIONS: Final = {
    "give account_url= or connection_string=, or set": "give --account, or set",
    "container_name=": "--container",
    "container_name": "--container",
    "account_url": "--account",
    "pass create_container=True": "give --create-container",
    "name_template": "--template",
}
"""What the uploader calls by its argument, by the option of the command line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One run."""

    paths: Sequence[str]
    account: str | None
    container: str | None
    create_container: bool
    prefix: str | None
    template: NameTemplate | None
    overwrite: Overwrite
    gzip: bool
    delete: bool
    concurrency: int
    retries: int
    journal: Path | None
    json: bool
    verbose: bool


def read_command(arguments: Sequence[str] | None = None) -> Command:
    """Read the command line.

    Raises:
        SystemExit: with status 2 and one sentence on standard error, if something is wrong with it.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if not options.paths and options.journal is None:
        parser.error("name at least one PATH, or a --journal to go on with")
    if options.template is not None and options.prefix is not None and "{app}" not in options.template:
        parser.error("--prefix goes where --template says {app}, and it does not")
    try:
        return Command(**{**vars(options), "template": options.template and NameTemplate(options.template)})
    except ValueError as error:
        parser.error(in_options(str(error)))


def in_options(sentence: str) -> str:
    """Return what the uploader says, in terms of the command line."""
    for argument, option in _OPTIONS.items():
        sentence = sentence.replace(argument, option)
    return sentence


class _Parser(argparse.ArgumentParser):
    """A parser that complains in one sentence."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and end with status 2."""
        self.exit(2, f"{PROGRAM}: {message.rstrip('.')}; --help tells what can be given.\n")


def _parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = _Parser(prog=PROGRAM, description=_DESCRIPTION, epilog=_ENVIRONMENT)
    told = parser.add_argument
    told("paths", nargs="*", metavar="PATH", help="a file, or a directory (DIR/. leaves its name out of the blobs')")
    told("--account", metavar="NAME_OR_URL", help="the storage account")
    told("--container", metavar="NAME", help="the container")
    told("--create-container", action="store_true", help="create the container if it is missing")
    told("--prefix", type=_prefix, metavar="TEXT", help="put this and a slash before each blob's name")
    told("--template", metavar="TEMPLATE", help="name blobs like '{app}/{date}/{name}' instead")
    told("--overwrite", choices=get_args(Overwrite), default="never", help="what gives way (default %(default)s)")
    told("--gzip", action="store_true", help="compress on the way, and say so in Content-Encoding")
    told("--delete", action="store_true", help="delete each file once its blob is confirmed")
    told(
        "--concurrency", type=_at_least(1), default=8, metavar="N", help="files in flight at once (default %(default)s)"
    )
    told(
        "--retries",
        type=_at_least(0),
        default=5,
        metavar="N",
        help="attempts after a file's first (default %(default)s)",
    )
    told("--journal", type=Path, metavar="FILE", help="keep what is to be done there, and go on with it next time")
    told("--json", action="store_true", help="print one JSON object a line")
    told("--verbose", action="store_true", help="say on standard error what is repeated and why")
    return parser


def _prefix(text: str) -> str:
    """Read a prefix, which must be able to begin a blob's name."""
    prefix = text.strip("/")
    try:
        check_blob_name(prefix)
    except InvalidBlobNameError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return prefix


def _at_least(least: int) -> Callable[[str], int]:
    """Return what reads a whole number that is not too small."""

    def read(text: str) -> int:
        number = int(text) if text.isascii() and text.isdigit() else -1
        if number < least:
            raise argparse.ArgumentTypeError(f"a number from {least} is needed, not {text!r}")
        return number

    return read
