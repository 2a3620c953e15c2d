"""The REST operations of Blob Storage by name: which one a request asks for, and what of it we serve.

Source of names and addresses: Microsoft, "Blob service REST API". A request for anything that is not served is refused
with the name of what is missing, so that nobody takes silence for an answer.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from ._refusal import Refusal

# (method, level, restype, comp): name
_NAMES: Final[dict[tuple[str, str, str, str], str]] = {
    ("GET", "account", "", "list"): "List Containers",
    ("GET", "account", "service", "properties"): "Get Blob Service Properties",
    ("PUT", "account", "service", "properties"): "Set Blob Service Properties",
    ("GET", "account", "service", "stats"): "Get Blob Service Stats",
    ("POST", "account", "service", "userdelegationkey"): "Get User Delegation Key",
    ("GET", "account", "account", "properties"): "Get Account Information",
    ("HEAD", "account", "account", "properties"): "Get Account Information",
    ("GET", "account", "", "blobs"): "Find Blobs by Tags",
    ("POST", "account", "", "batch"): "Blob Batch",
    ("PUT", "container", "container", ""): "Create Container",
    ("GET", "container", "container", ""): "Get Container Properties",
    ("HEAD", "container", "container", ""): "Get Container Properties",
    ("DELETE", "container", "container", ""): "Delete Container",
    ("GET", "container", "container", "list"): "List Blobs",
    ("GET", "container", "container", "metadata"): "Get Container Metadata",
    ("HEAD", "container", "container", "metadata"): "Get Container Metadata",
    ("PUT", "container", "container", "metadata"): "Set Container Metadata",
    ("GET", "container", "container", "acl"): "Get Container ACL",
    ("HEAD", "container", "container", "acl"): "Get Container ACL",
    ("PUT", "container", "container", "acl"): "Set Container ACL",
    ("PUT", "container", "container", "lease"): "Lease Container",
    ("PUT", "container", "container", "undelete"): "Restore Container",
    ("GET", "container", "container", "blobs"): "Find Blobs by Tags in Container",
    ("POST", "container", "container", "batch"): "Blob Batch",
    ("GET", "container", "account", "properties"): "Get Account Information",
    ("HEAD", "container", "account", "properties"): "Get Account Information",
    ("GET", "blob", "account", "properties"): "Get Account Information",
    ("HEAD", "blob", "account", "properties"): "Get Account Information",
    ("PUT", "blob", "", ""): "Put Blob",
    ("GET", "blob", "", ""): "Get Blob",
    ("HEAD", "blob", "", ""): "Get Blob Properties",
    ("DELETE", "blob", "", ""): "Delete Blob",
    ("PUT", "blob", "", "block"): "Put Block",
    ("PUT", "blob", "", "blocklist"): "Put Block List",
    ("GET", "blob", "", "blocklist"): "Get Block List",
    ("PUT", "blob", "", "properties"): "Set Blob Properties",
    ("GET", "blob", "", "metadata"): "Get Blob Metadata",
    ("HEAD", "blob", "", "metadata"): "Get Blob Metadata",
    ("PUT", "blob", "", "metadata"): "Set Blob Metadata",
    ("GET", "blob", "", "tags"): "Get Blob Tags",
    ("PUT", "blob", "", "tags"): "Set Blob Tags",
    ("PUT", "blob", "", "lease"): "Lease Blob",
    ("PUT", "blob", "", "snapshot"): "Snapshot Blob",
    ("PUT", "blob", "", "copy"): "Abort Copy Blob",
    ("PUT", "blob", "", "tier"): "Set Blob Tier",
    ("PUT", "blob", "", "undelete"): "Undelete Blob",
    ("PUT", "blob", "", "expiry"): "Set Blob Expiry",
    ("PUT", "blob", "", "immutabilityPolicies"): "Set Immutability Policy",
    ("DELETE", "blob", "", "immutabilityPolicies"): "Delete Immutability Policy",
    ("PUT", "blob", "", "legalhold"): "Set Blob Legal Hold",
    ("POST", "blob", "", "query"): "Query Blob Contents",
    ("PUT", "blob", "", "page"): "Put Page",
    ("GET", "blob", "", "pagelist"): "Get Page Ranges",
    ("PUT", "blob", "", "incrementalcopy"): "Incremental Copy Blob",
    ("PUT", "blob", "", "appendblock"): "Append Block",
    ("PUT", "blob", "", "seal"): "Append Blob Seal",
}

# With x-ms-copy-source, the same addresses are operations of another name.
_COPIES: Final = {"Put Blob": "Copy Blob", "Put Block": "Put Block From URL", "Append Block": "Append Block From URL"}

# Those that are served: for each the type of resource of an account SAS, and the letters of which one permits it.
PERMISSIONS: Final[dict[str, tuple[str, str]]] = {
    "List Containers": ("s", "l"),
    "Get Account Information": ("sco", "rwdlacup"),
    "Create Container": ("c", "cw"),
    "Get Container Properties": ("c", "r"),
    "Get Container Metadata": ("c", "r"),
    "Set Container Metadata": ("c", "w"),
    "Delete Container": ("c", "d"),
    "List Blobs": ("c", "l"),
    "Put Blob": ("o", "cw"),
    "Put Block": ("o", "w"),
    "Put Block List": ("o", "w"),
    "Get Block List": ("o", "r"),
    "Get Blob": ("o", "r"),
    "Get Blob Properties": ("o", "r"),
    "Get Blob Metadata": ("o", "r"),
    "Set Blob Properties": ("o", "w"),
    "Set Blob Metadata": ("o", "w"),
    "Delete Blob": ("o", "d"),
}

_LISTING: Final = frozenset({"prefix", "delimiter", "marker", "maxresults", "include"})
_EVERYWHERE: Final = frozenset({"restype", "comp", "timeout"})
_PARAMETERS: Final[dict[str, frozenset[str]]] = {
    "List Containers": _LISTING - {"delimiter"},
    "List Blobs": _LISTING,
    "Put Block": frozenset({"blockid"}),
    "Get Block List": frozenset({"blocklisttype"}),
}

_HEADERS: Final = frozenset(
    {
        "x-ms-blob-cache-control",
        "x-ms-blob-content-disposition",
        "x-ms-blob-content-encoding",
        "x-ms-blob-content-language",
        "x-ms-blob-content-md5",
        "x-ms-blob-content-type",
        "x-ms-blob-type",
        "x-ms-client-request-id",
        "x-ms-date",
        "x-ms-delete-snapshots",  # there are none
        "x-ms-range",
        "x-ms-range-get-content-md5",
        "x-ms-return-client-request-id",
        "x-ms-version",
    }
)


def recognise(method: str, level: str, query: Mapping[str, str], headers: Mapping[str, str]) -> str:
    """The name of the operation that a request to an account, container or blob asks for."""
    address = (method, level, query.get("restype", ""), query.get("comp", ""))
    name = _NAMES.get(address, f"{method} on a {level} with restype={address[2]!r} and comp={address[3]!r}")
    if "x-ms-copy-source" in headers:
        return _COPIES.get(name, name)
    blob_type = headers.get("x-ms-blob-type", "BlockBlob")
    return f"{name} ({blob_type})" if name == "Put Blob" and blob_type != "BlockBlob" else name


def check_features(operation: str, query: Iterable[str], headers: Iterable[str]) -> None:
    """Let a request pass that asks for nothing but what we serve of its operation.

    Raises:
        Refusal: NotImplemented, naming the parameter or header that asks for more: ignoring it would be a wrong answer.
    """
    known = _PARAMETERS.get(operation, frozenset()) | _EVERYWHERE
    for parameter in query:
        if parameter not in known:
            raise Refusal("NotImplemented", f"{operation} with parameter {parameter}")
    for header in (header.lower() for header in headers):
        if header.startswith("x-ms-") and not header.startswith("x-ms-meta-") and header not in _HEADERS:
            raise Refusal("NotImplemented", f"{operation} with header {header}")
