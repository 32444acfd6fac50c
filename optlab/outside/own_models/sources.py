"""Finding the source of a model or an optimizer, and executing it, once the user has confirmed it.

The first reads the file as text (its classes are found in its syntax tree) and never executes; the
second executes exactly the bytes whose checksum was confirmed, or, for a module of an installed
package, imports it after its file was compared.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from optlab.core.data import DataShape
from optlab.core.errors import InvalidInput
from optlab.core.fields import did_you_mean, shown
from optlab.core.lazy import torch
from optlab.core.reading import open_regular
from optlab.outside.own_models import imports, records
from optlab.outside.own_models.deferral import refuse_here
from optlab.outside.own_models.division import Division
from optlab.outside.own_models.imports import LARGEST_SOURCE
from optlab.outside.own_models.records import Argument, Registration, kind_of

BASES = {records.MODEL: "torch.nn.Module", records.OPTIMIZER: "torch.optim.Optimizer"}
"""Kind → the class from which those of it derive."""
GIVEN = ("inputs", "outputs", "input_shape")
"""Arguments of the constructor that OptLab fills in from the data."""
GIVEN_BY_NAME = (*GIVEN, "codes")
"""The same of a module whose inputs are divided among the arguments of its forward pass."""


@dataclass(frozen=True)
class Source:
    """A class in a file, found but not executed.

    Attributes:
        origin: path of the file as it is registered, or dotted name of the module. imported:
            whether it is the latter. path: the file. content: its bytes.
        cls: name of the class.
        beside: the files that it imports from beside it; see
            :func:`optlab.outside.own_models.imports.beside`.
    """

    origin: str
    imported: bool
    path: Path
    content: bytes
    cls: str
    beside: Mapping[str, str] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """Checksum of the file."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def fingerprint(self) -> str:
        """Identifies the contents of the file and of those that it imports from beside it."""
        return "\n".join(
            [self.sha256, *(f"{sha256} {path}" for path, sha256 in self.beside.items())]
        )

    @property
    def files(self) -> tuple[Path, ...]:
        """The file, and those that it imports from beside it."""
        folder = imports.folder(self.path, self.origin if self.imported else "")
        return (self.path, *(folder / path for path in self.beside))

    def contents_beside(self) -> dict[str, bytes]:
        """Return the files that it imports from beside it: relative path → content.

        Raises:
            InvalidInput: one cannot be read, or has changed since it was found.
        """
        found = {}
        for relative, path in zip(self.beside, self.files[1:], strict=True):
            found[relative] = _read(path, "model.name")
            if hashlib.sha256(found[relative]).hexdigest() != self.beside[relative]:
                raise InvalidInput(f"{path} has just changed; try again.", "model.name")
        return found


def find(what: str, cls: str = "", kind: str = records.MODEL) -> Source:
    """Return the source that ``what`` names.

    A Python file, a module of an installed package, or either with ``:Class`` behind it. Nothing is
    executed.

    Args:
        cls: name of the class; "" for the only one that looks like one of the kind.
        kind: what is looked for; see :mod:`records`.

    Raises:
        InvalidInput: there is no such file, module or class, or it is not clear which class is
            meant.
    """
    head, colon, tail = what.rpartition(":")
    if colon and tail.isidentifier() and not cls:
        what, cls = head, tail
    if what.endswith(".py") or Path(what).expanduser().exists():
        path = Path(what).expanduser().resolve()
        return _source(str(path), False, path, cls, kind)
    if not all(part.isidentifier() for part in what.split(".")):
        raise InvalidInput(
            f"{shown(what)} is neither a Python file that is there nor the dotted name of a module.",
            "origin",
        )
    found = _module_file(what)
    if found is None and not cls and "." in what:
        module, _, last = what.rpartition(".")
        found = _module_file(module)
        if found is not None:
            what, cls = module, last
    if found is None:
        raise InvalidInput(
            f"{shown(what)} is no Python file and no module that can be imported here (is its "
            "package installed?).",
            "origin",
        )
    return _source(what, True, found, cls, kind)


def file_of(registration: Registration) -> Path | None:
    """Return the source file of a registered model; None where its module cannot be found."""
    if registration.imported:
        return _module_file(registration.origin)
    return Path(registration.origin)


def files_of(registration: Registration) -> tuple[Path, ...]:
    """Return the source file of a registered model, and those that it imports from beside it.

    Those that were confirmed, where the source cannot be read any more.
    """
    path = file_of(registration)
    if path is None:
        return ()
    module = registration.origin if registration.imported else ""
    try:
        found: Mapping[str, str] = imports.beside(path, _read(path, "origin"), module)
    except InvalidInput:
        found = registration.beside
    folder = imports.folder(path, module)
    return (path, *(folder / relative for relative in found))


def load(registration: Registration) -> type[Any]:
    """Return the class of a registered model, executed if it is still what was confirmed.

    Raises:
        InvalidInput: it is not registered any more, its file has changed or gone, or executing it
            fails.
    """
    return execute(confirmed(registration), registration.kind)


def confirmed(registration: Registration) -> Source:
    """Return the source of a registered model, unexecuted, if it is still what was confirmed.

    Raises:
        InvalidInput: it is not registered any more, or its file has changed or gone.
    """
    kind = registration.kind
    path_of_name = f"{kind}.name"
    where = f"{path_of_name} is '{records.PREFIX}{registration.name}'"
    current = records.get(registration.name, kind)
    again = (
        f"look at it and confirm it again: optlab {kind} register {registration.origin} --name "
        f"{registration.name}"
    )
    path = file_of(registration)
    if path is None:
        raise InvalidInput(
            f"{where}, but the module {registration.origin} cannot be found; install its package "
            "or register it again.",
            path_of_name,
        )
    content = _read(path, where)
    sha256 = hashlib.sha256(content).hexdigest()
    if (current.origin, current.cls, current.sha256) != (
        registration.origin,
        registration.cls,
        sha256,
    ):
        raise InvalidInput(
            f"{where}, but {path} has changed since it was confirmed; {again}.", path_of_name
        )
    module = registration.origin if registration.imported else ""
    beside = imports.beside(path, content, module)
    if beside != current.beside or beside != registration.beside:
        folder = imports.folder(path, module)
        different = sorted(dict(beside.items() ^ current.beside.items())) or sorted(beside)
        raise InvalidInput(
            f"{where}, but {folder / different[0]}, which it imports, has changed since it was "
            f"confirmed; {again}.",
            path_of_name,
        )
    return Source(
        registration.origin, registration.imported, path, content, registration.cls, beside
    )


USER_ERRORS = (Exception, SystemExit, GeneratorExit)
"""What code of the user's may raise: every error, and what would end OptLab, or a session silently."""


_executing = threading.Lock()
_executed: dict[tuple[str, str, str, str], type[Any]] = {}


def execute(source: Source, kind: str = records.MODEL) -> type[Any]:
    """Return the class of a source, by executing it; once a process for the same bytes.

    Raises:
        InvalidInput: it fails, or the class is not there or not of the kind.
        ForWorker: see :func:`optlab.outside.own_models.deferral.left_to_worker`.
    """
    refuse_here(f"{source.path}:{source.cls}")
    key = (source.origin, source.fingerprint, source.cls, kind)
    with _executing:
        if key not in _executed:
            module = _run(source, kind)
            found = getattr(module, source.cls, None)
            base = torch.nn.Module if kind == records.MODEL else torch.optim.Optimizer
            if not inspect.isclass(found) or not issubclass(found, base):
                raise InvalidInput(
                    f"{source.path}: {source.cls} is no class derived from {BASES[kind]}.",
                    f"{kind}.name",
                )
            _executed[key] = found
        return _executed[key]


def arguments(
    cls: type[torch.nn.Module], where: str, given: Sequence[str] = GIVEN
) -> tuple[tuple[Argument, ...], tuple[str, ...]]:
    """Return the constructor's arguments that can be fields, and the names of the others.

    Args:
        cls: the class. where: what messages call it. given: the arguments that the data give.

    Raises:
        InvalidInput: an argument has no default and is none of those that the data give.
    """
    fields: list[Argument] = []
    fixed: list[str] = []
    for argument in signature(cls, where):
        kind = kind_of(argument.default)
        if argument.name in given:
            continue
        if argument.default is inspect.Parameter.empty:
            raise InvalidInput(
                f"{where}: the argument {shown(argument.name)} of its constructor has no default; "
                f"give it one (only {', '.join(given)} come from the data).",
                "origin",
            )
        if kind is None:
            fixed.append(argument.name)
        else:
            fields.append(Argument(argument.name, kind, argument.default))
    return tuple(fields), tuple(fixed)


def signature(cls: type[torch.nn.Module], where: str) -> list[inspect.Parameter]:
    """Return the constructor's arguments that can be given by name.

    Raises:
        InvalidInput: it cannot be read, or wants arguments by position only.
    """
    try:
        found = inspect.signature(cls).parameters.values()
    except (TypeError, ValueError):
        raise InvalidInput(
            f"{where}: what its constructor takes cannot be read.", "origin"
        ) from None
    for argument in found:
        if argument.kind is inspect.Parameter.POSITIONAL_ONLY:
            raise InvalidInput(
                f"{where}: the argument {shown(argument.name)} of its constructor can be given by "
                "position only; allow its name.",
                "origin",
            )
    return [
        a
        for a in found
        if a.kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    ]


def takes(cls: type[torch.nn.Module], argument: str) -> bool:
    """Return whether the constructor has an argument of this name."""
    return any(found.name == argument for found in signature(cls, cls.__name__))


def from_data(
    cls: type[torch.nn.Module], shape: DataShape, division: Division | None = None
) -> dict[str, Any]:
    """Return what the constructor requires of the data.

    ``inputs`` and ``outputs`` are numbers, ``input_shape`` is a tuple. Where the inputs are divided
    among the arguments of the forward pass, see :meth:`Division.from_data`.
    """
    given: dict[str, Any] = {
        "inputs": shape.width,
        "outputs": shape.outputs,
        "input_shape": shape.inputs,
        **({} if division is None else division.from_data()),
    }
    return {name: value for name, value in given.items() if takes(cls, name)}


# --- reading -------------------------------------------------------------------------------------------------------------------


def _source(origin: str, imported: bool, path: Path, cls: str, kind: str) -> Source:
    content = _read(path, "origin")
    try:
        tree = ast.parse(content, str(path))
    except SyntaxError as error:
        raise InvalidInput(
            f"{path}, line {error.lineno or 1}: this is not Python ({error.msg}).", "origin"
        ) from None
    except (ValueError, RecursionError, MemoryError):
        raise InvalidInput(f"{path} is not Python source.", "origin") from None
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    names = [node.name for node in classes]
    if not cls:
        base = BASES[kind]
        last = base.rpartition(".")[2]
        ours: set[str] = set()
        for node in classes:
            parents = {ast.unparse(parent).rpartition(".")[2] for parent in node.bases}
            if last in parents or parents & ours:
                ours.add(node.name)
        if len(ours) != 1:
            which = (
                f"no class derived from {base}"
                if not ours
                else f"several {kind}s ({', '.join(sorted(ours))})"
            )
            example = "MyNet" if kind == records.MODEL else "MyRule"
            raise InvalidInput(
                f"{path} has {which}; name the class after a colon: {path.name}:{example}.",
                "origin",
            )
        (cls,) = ours
    elif cls not in names and not imported:
        listing = ", ".join(names) or "none"
        raise InvalidInput(
            f"{path} has no class {shown(cls)}{did_you_mean(cls, names)}; its classes are: "
            f"{listing}.",
            "origin",
        )
    beside = imports.beside(path, content, origin if imported else "")
    return Source(origin, imported, path, content, cls, beside)


def _read(path: Path, where: str) -> bytes:
    try:
        with open_regular(path) as file:
            content = file.read(LARGEST_SOURCE + 1)
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"{where}: {path} cannot be read: {getattr(error, 'strerror', None) or error}.",
            "model.name",
        ) from None
    if len(content) > LARGEST_SOURCE:
        raise InvalidInput(
            f"{where}: {path} is larger than {LARGEST_SOURCE // 1024} KiB, too large for a "
            "source file.",
            "model.name",
        )
    return content


def _module_file(name: str) -> Path | None:
    """The source file of a module.

    Its packages are looked for one inside the other, since importing them would execute them.
    """
    search: list[str] | None = None
    spec: importlib.machinery.ModuleSpec | None = None
    parts = name.split(".")
    for number in range(1, len(parts) + 1):
        spec = _spec(".".join(parts[:number]), search)
        if spec is None:
            return None
        search = list(spec.submodule_search_locations or [])
    return (
        Path(spec.origin)
        if spec is not None and spec.origin and spec.origin.endswith(".py")
        else None
    )


def _spec(name: str, search: list[str] | None) -> importlib.machinery.ModuleSpec | None:
    for finder in sys.meta_path:
        found = finder.find_spec(name, search)
        if found is not None:
            return found
    return None


# --- executing -----------------------------------------------------------------------------------------------------------------


class _Bytes(importlib.abc.InspectLoader):
    """Loads a module from bytes in memory.

    What is executed is what was compared, whatever happens to the file meanwhile.
    """

    def __init__(self, source: Source) -> None:
        self._source = source

    def get_source(self, fullname: str) -> str:
        return importlib.util.decode_source(self._source.content)

    def get_code(self, fullname: str) -> Any:
        return self.source_to_code(self._source.content, str(self._source.path))


def module_name(origin: str, sha256: str, *, imported: bool) -> str:
    """Return the name of the module in which a source is executed."""
    return origin if imported else f"_optlab_own_{sha256[:16]}"


def _run(source: Source, kind: str) -> ModuleType:
    name = module_name(source.origin, source.sha256, imported=source.imported)
    _forget_modules(source)
    try:
        if source.imported:
            return importlib.import_module(name)
        spec = importlib.util.spec_from_loader(name, _Bytes(source), origin=str(source.path))
        assert spec is not None
        spec.has_location = True  # gives the module its __file__
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses and the like look their module up
        importlib.abc.InspectLoader.exec_module(_Bytes(source), module)
    except USER_ERRORS as error:
        sys.modules.pop(name, None)
        raise InvalidInput(
            f"Executing {source.path} failed with {explained(error)}.", f"{kind}.name"
        ) from error
    return module


def _forget_modules(source: Source) -> None:
    """Let what was imported from beside a source be imported anew: it may have changed."""
    if imports.is_installed(source.path):
        return
    files = {str(path) for path in source.files}
    for name, module in list(sys.modules.items()):
        if getattr(module, "__file__", None) in files:
            del sys.modules[name]
    importlib.invalidate_caches()


def explained(error: BaseException) -> str:
    """Return an error of the user's code in a few words."""
    words = " ".join(str(error).split()).rstrip(".")
    return f"{type(error).__name__}: {words[:300]}" if words else type(error).__name__
