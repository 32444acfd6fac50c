"""Addresses of clusters: what ``--cluster`` takes.

* ``local:N``: N worker processes on this machine, which OptLab starts and ends.
* ``tcp://HOST:PORT``: a scheduler without encryption, on this machine only.
* ``tls://HOST:PORT``: a scheduler with certificates, which Dask's own configuration names.
* ``FILE.yaml``: the address of a scheduler and its certificates::

      scheduler: tls://cluster.example:8786
      tls:
        ca: ca.pem
        cert: client.pem
        key: client-key.pem

  Paths are relative to the folder of the file.

A scheduler executes whatever it is sent, with the rights of who started it, and a client unpickles
what comes back. So a connection that others can read or take over is refused, unless the user takes
the risk.
"""

from __future__ import annotations

import ipaddress
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optlab.core.errors import InvalidInput
from optlab.core.reading import read_at_most

MAX_FILE_BYTES = 64 << 10
"""Size of a cluster file."""
MAX_LOCAL_WORKERS = 256
"""Worker processes that ``local:N`` starts."""
_FORMS = "local:N, tcp://HOST:PORT, tls://HOST:PORT, or a .yaml file"
_CERTIFICATES = ("ca", "cert", "key")


@dataclass(frozen=True)
class Certificates:
    """Files in PEM format: of the authority, and the certificate and key of this client."""

    ca: Path
    cert: Path
    key: Path


@dataclass(frozen=True)
class ClusterAddress:
    """Where a cluster is.

    Attributes:
        scheduler: ``tcp://HOST:PORT`` or ``tls://HOST:PORT``; "" for workers of this machine.
        workers: of this machine, that are to be started.
        certificates: for ``tls``; None where Dask's configuration names them.
    """

    scheduler: str = ""
    workers: int = 0
    certificates: Certificates | None = None

    @property
    def encrypted(self) -> bool:
        """Whether both ends prove who they are, and nobody else can read along."""
        return self.scheduler.startswith("tls://")

    def __str__(self) -> str:
        return self.scheduler or f"local:{self.workers}"


def parse(text: str, *, insecure: bool = False, yaml: Any = None) -> ClusterAddress:
    """Return the address that a text means.

    Args:
        text: see the module.
        insecure: whether a scheduler of another machine may be reached without encryption.
        yaml: the module ``yaml``, to read a file.

    Raises:
        InvalidInput: it is none, a file is not valid, or the connection would not be secure.
    """
    if text.startswith("local:"):
        return ClusterAddress(workers=_workers(text))
    if text.endswith((".yaml", ".yml")) and "://" not in text:
        address = _from_file(Path(text), yaml)
    elif text.startswith(("tcp://", "tls://")):
        address = ClusterAddress(scheduler=_scheduler(text, "The cluster"))
    else:
        raise InvalidInput(f"The cluster '{text}' is not an address; write {_FORMS}.")
    if not (insecure or address.encrypted or _is_loopback(address.scheduler)):
        raise InvalidInput(
            f"The cluster {address.scheduler} is on another machine and not encrypted: a Dask "
            "scheduler executes whatever anybody sends it, so who can reach or read this "
            "connection could run programs on all its machines and on this one; use a tls:// "
            "address, or take the risk with --insecure."
        )
    return address


def _workers(text: str) -> int:
    count = text.removeprefix("local:")
    number = int(count) if count.isascii() and count.isdigit() and len(count) < 5 else 0
    if not 1 <= number <= MAX_LOCAL_WORKERS:
        raise InvalidInput(
            f"The cluster '{text}' names no number of workers; write local:N with N from 1 to "
            f"{MAX_LOCAL_WORKERS}, such as local:4."
        )
    return number


def _scheduler(text: str, whose: str) -> str:
    try:
        parts = urllib.parse.urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    bare = f"{parts.scheme}://{parts.netloc}" if host else ""
    if not host or not port or "@" in bare or bare != text.removesuffix("/"):
        raise InvalidInput(
            f"{whose} '{text}' is not a scheduler's address; write its host and port, such as "
            "tls://cluster.example:8786."
        )
    return bare


def _is_loopback(scheduler: str) -> bool:
    host = urllib.parse.urlsplit(scheduler).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        # Any other name may lead anywhere tomorrow.
        return host == "localhost"


# --- files ----------------------------------------------------------------------------------------


def _from_file(path: Path, yaml: Any) -> ClusterAddress:
    tables = _parsed(path, yaml)
    _only(tables, ("scheduler", "tls"), str(path))
    scheduler = tables.get("scheduler")
    if not isinstance(scheduler, str):
        raise InvalidInput(
            f"{path} names no scheduler; write a line such as scheduler: tls://cluster.example:8786"
        )
    if not scheduler.startswith(("tcp://", "tls://")):
        raise InvalidInput(
            f"{path}: scheduler '{scheduler}' is not an address; write tls://HOST:PORT or "
            "tcp://HOST:PORT."
        )
    scheduler = _scheduler(scheduler, f"{path}: scheduler")
    tls = tables.get("tls")
    if tls is None:
        return ClusterAddress(scheduler)
    if not isinstance(tls, dict):
        raise InvalidInput(f"{path}: tls must have {', '.join(_CERTIFICATES)}, each a file.")
    _only(tls, _CERTIFICATES, f"{path}: tls")
    if not scheduler.startswith("tls://"):
        raise InvalidInput(
            f"{path} names certificates, but {scheduler} does not use them; write "
            f"tls{scheduler.removeprefix('tcp')}, or leave tls out."
        )
    files = {}
    for name in _CERTIFICATES:
        file = tls.get(name)
        if not isinstance(file, str):
            raise InvalidInput(f"{path}: tls names no {name}; give the path of a .pem file.")
        files[name] = path.parent / Path(file).expanduser()
    return ClusterAddress(scheduler, certificates=Certificates(**files))


def _only(table: dict[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in known:
            raise InvalidInput(
                f"{where} has '{key[:80]}', which is not known; it may have {', '.join(known)}."
            )


def _parsed(path: Path, yaml: Any) -> dict[str, Any]:
    try:
        content = read_at_most(path, MAX_FILE_BYTES)
        if content is None:
            raise InvalidInput(
                f"{path} is larger than {MAX_FILE_BYTES >> 10} KiB: that is no file with the "
                "address of a cluster."
            )
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidInput(f"{path} is not a text file in UTF-8; write one with YAML.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidInput(f"{path} cannot be read: {reason}.") from None
    try:
        # Only the tree of texts: nothing is constructed from it.
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        values = _values(root, yaml, path)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark is not None else ""
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise InvalidInput(f"{path} is not valid YAML{where}: {problem}.") from None
    except RecursionError:
        raise InvalidInput(f"{path} is not valid YAML: it is nested too deeply.") from None
    if not isinstance(values, dict):
        raise InvalidInput(
            f"{path} names no scheduler; write a line such as scheduler: tls://cluster.example:8786"
        )
    return values


def _values(node: Any, yaml: Any, path: Path, depth: int = 0) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return node.value
    if not isinstance(node, yaml.MappingNode) or depth > 1:
        return None
    values: dict[str, Any] = {}
    for key, value in node.value:
        name = key.value if isinstance(key, yaml.ScalarNode) else "a list"
        if name in values:
            raise InvalidInput(
                f"{path} has '{name[:80]}' twice (line {key.start_mark.line + 1}); keep one."
            )
        values[name] = _values(value, yaml, path, depth + 1)
    return values
