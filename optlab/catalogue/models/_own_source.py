"""A module of the user's as scripts have it: the line that imports its class, and what lies beside.

A script does not repeat the user's code but imports it: from a copy of the file that the run has
used, with the files that it imports in turn, or from the package that has it.
"""

from __future__ import annotations

import importlib.util
import keyword
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from optlab.catalogue.models.capabilities import ImportedModule, WrittenModule
from optlab.outside.own_models.division import Division, Share
from optlab.outside.own_models.examination import Examined
from optlab.outside.own_models.sources import Source


def written(
    source: Source,
    examined: Examined,
    arguments: Mapping[str, Any],
    division: Division | None,
    *,
    flat: bool,
) -> WrittenModule:
    """Return a module as the source that imports its class as ``Net``.

    Args:
        source: of the class. examined: what is known of it. arguments: of its constructor.
        division: of the inputs among the arguments of its forward pass; None where it takes them as
            one. flat: whether it takes examples of several axes as rows of numbers.

    Raises:
        InvalidInput: a file that it imports cannot be read.
    """
    files: dict[str, bytes] = {}
    module = source.origin
    if not source.imported:
        files = source.contents_beside()
        module = _name(source.path, files)
        files[f"{module}.py"] = source.content
    lines = []
    seeds = ["torch.manual_seed(0)"]
    if source.imported or any(re.search(rb"\brandom\b", content) for content in files.values()):
        lines += ["import random", ""]
        seeds += ["random.seed(0)", "np.random.seed(0)"]
    if division is None and not flat:
        lines += [_imported(module, source.cls, "Net")]
    else:
        own = "OwnNet" if source.cls == "Net" else source.cls
        forward = ["return super().forward(x.flatten(1))"] if division is None else _given(division)
        lines += [
            _imported(module, source.cls, own),
            "",
            "",
            f"class Net({own}):",
            f'    """{source.cls} on inputs as the data have them."""',
            "",
            "    def forward(self, x):",
            *(f"        {line}" for line in forward),
        ]
    given = ", ".join(f"{name}={_value(value)}" for name, value in arguments.items())
    return WrittenModule(
        "\n".join([*lines, ""]),
        creation=f"Net({given})",
        imported=ImportedModule(
            files,
            source.origin.partition(".")[0] if source.imported else "",
            tuple(seeds),
            frozen=bool(examined.frozen),
            unused=bool(examined.unused),
            draws=examined.draws,
            changes=bool(examined.changing),
        ),
    )


def _imported(module: str, cls: str, name: str) -> str:
    return f"from {module} import {cls}" + ("" if cls == name else f" as {name}")


def _name(path: Path, beside: Collection[str]) -> str:
    """Return the name under which a copy of a file can be imported, and hides no other module."""
    name = re.sub(r"\W", "_", path.stem)
    if name[:1].isdigit() or keyword.iskeyword(name) or _hides(name, path):
        name = f"own_{name}"
    while f"{name}.py" in beside or f"{name}/__init__.py" in beside:
        name += "_"
    return name


def _hides(name: str, path: Path) -> bool:
    """Return whether a file of this name would be imported in place of another module."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin != str(path)


def _given(division: Division) -> list[str]:
    """Return the lines that divide ``x`` ``[m, …]`` among the arguments."""
    given = [f"    {share.name}={_part(share, division)}," for share in division.shares]
    return ["return super().forward(", *given, ")"]


def _part(share: Share, division: Division) -> str:
    pieces = [f"x[..., {begin}:{end}]" for begin, end in share.spans]
    part = pieces[0] if len(pieces) == 1 else f"torch.cat([{', '.join(pieces)}], dim=-1)"
    shape = (share.width,) if division.flat else share.shape
    if division.axes > 1 or shape != (share.width,):
        part += f".reshape({', '.join(['len(x)', *map(str, shape)])})"
    return f"{part}.long()" if share.codes else part


def _value(value: Any) -> str:
    """Return an argument as source; real numbers may be infinite."""
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return f'float("{value}")'
    return repr(value)
