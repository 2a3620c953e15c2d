"""One request, taken apart: which operation, on which container and blob, with which parameters."""

from dataclasses import dataclass
from typing import Final, NoReturn
from urllib.parse import unquote

from aiohttp import web

from . import _sas
from ._faults import Fault
from ._listing import MAX_RESULTS, Query
from ._operations import recognise
from ._refusal import Refusal
from ._shared_key import Signed

_LEVELS: Final = ("account", "container", "blob")


@dataclass(frozen=True, slots=True)
class Call:
    """One request.

    Attributes:
        request: As it came from aiohttp.
        signed: The parts that its signature covers.
        operation: The name of the operation it asks for, served or not.
        container: The container's name; empty for an operation on the account.
        blob: The blob's name; empty for an operation on a container or the account.
        query: The parameters, decoded, but those of a shared access signature.
        sas: Those of a shared access signature; empty if there is none.
        fault: What the script has in mind for it.
    """

    request: web.Request
    signed: Signed
    operation: str
    container: str
    blob: str
    query: dict[str, str]
    sas: dict[str, str]
    fault: Fault | None = None

    @classmethod
    def of(cls, request: web.Request, account: str) -> "Call":
        """Take a request to ``account`` apart; ResourceNotFound for a path of another account.

        The path and the query are read as they travelled: aiohttp's own view of them is normalised, and a ``+`` in a
        query stands for itself here.
        """
        path, _, query = request.raw_path.partition("?")
        pairs = [(name, value) for name, _, value in (pair.partition("=") for pair in query.split("&") if pair)]
        parameters = {unquote(name).lower(): unquote(value) for name, value in pairs}
        _, given_account, *names = path.split("/", 3)
        if given_account != account:
            raise Refusal("ResourceNotFound", "account")
        container, blob = (unquote(name) for name in (*names, "", "")[:2])
        own = _sas.PARAMETERS if "sig" in parameters else frozenset()
        level = _LEVELS[bool(container) + bool(blob)]
        return cls(
            request=request,
            signed=Signed(request.method, path, pairs, request.headers),
            operation=recognise(request.method, level, parameters, request.headers),
            container=container,
            blob=blob,
            query={name: value for name, value in parameters.items() if name not in own},
            sas={name: value for name, value in parameters.items() if name in own},
        )

    def hang_up(self) -> NoReturn:
        """End the connection, with no answer."""
        if self.request.transport is not None:
            self.request.transport.abort()
        raise ConnectionResetError

    def required(self, parameter: str) -> str:
        """The value of a parameter that the operation cannot do without."""
        if not self.query.get(parameter):
            raise Refusal("MissingRequiredQueryParameter", parameter)
        return self.query[parameter]

    def listing(self) -> Query:
        """What a list operation is asked for."""
        return Query(
            prefix=self.query.get("prefix", ""),
            delimiter=self.query.get("delimiter", ""),
            marker=unquote(self.query.get("marker", "")),  # as the page before wrote it
            limit=min(self._limit(), MAX_RESULTS),
        )

    def wants_metadata(self) -> bool:
        """Whether a list operation is asked for metadata, the one data set beside the usual that is served."""
        include = {one for one in self.query.get("include", "").split(",") if one}
        nothing = {"deleted"} if self.operation == "List Containers" else set()  # what is deleted here is gone
        if more := include - {"metadata"} - nothing:
            raise Refusal("NotImplemented", f"{self.operation} with include={','.join(sorted(more))}")
        return "metadata" in include

    def _limit(self) -> int:
        asked = self.query.get("maxresults") or str(MAX_RESULTS)
        if not asked.isdecimal():
            raise Refusal("InvalidQueryParameterValue", "maxresults")
        if int(asked) < 1:
            raise Refusal("OutOfRangeQueryParameterValue", "maxresults")
        return int(asked)
