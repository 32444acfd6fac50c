"""A module of the user's as scripts have it: the line that imports its class, and what lies beside.

A script does not repeat the user's code but imports it: from a copy of the file that the run has
used, with the files that it imports in turn, or from the package that has it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from optlab.catalogue.models.capabilities import ImportedModule, WrittenModule
from optlab.outside.own_models.copies import import_line, literal, with_copies
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
    module, files = with_copies(source)
    lines = []
    seeds = ["torch.manual_seed(0)"]
    if source.imported or any(re.search(rb"\brandom\b", content) for content in files.values()):
        lines += ["import random", ""]
        seeds += ["random.seed(0)", "np.random.seed(0)"]
    if division is None and not flat:
        lines += [import_line(module, source.cls, "Net")]
    else:
        own = "OwnNet" if source.cls == "Net" else source.cls
        forward = ["return super().forward(x.flatten(1))"] if division is None else _given(division)
        lines += [
            import_line(module, source.cls, own),
            "",
            "",
            f"class Net({own}):",
            f'    """{source.cls} on inputs as the data have them."""',
            "",
            "    def forward(self, x):",
            *(f"        {line}" for line in forward),
        ]
    given = ", ".join(f"{name}={literal(value)}" for name, value in arguments.items())
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
