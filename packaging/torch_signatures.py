"""Writes ``optlab/catalogue/optimizers/_bridge/table.py``.

What the optimizers of the installed torch take.

Run it after a new release of torch (the test of the table says so) and read what changed: ``python
packaging/torch_signatures.py``.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "optlab" / "catalogue" / "optimizers" / "_bridge" / "table.py"

HEAD = '''"""Signatures of the optimizers of torch, written by ``packaging/torch_signatures.py``.

Generated from torch {version} and checked by a test. Listing optimizers must not import torch, which
takes seconds, so this module stores their signatures.
"""

from __future__ import annotations

from optlab.catalogue.optimizers._bridge.signatures import Argument, Signature

TORCH = "{version}"
"""Version of torch from which the table was generated."""

KNOWN: tuple[Signature, ...] = (
'''


def written() -> str:
    """The table's text for the installed torch."""
    import torch

    from optlab.catalogue.optimizers._bridge.discovery import classes_of_torch
    from optlab.catalogue.optimizers._bridge.signatures import read

    lines = [HEAD.format(version=torch.__version__.partition("+")[0])]
    for cls in classes_of_torch(torch.optim):
        signature = read(cls)
        lines.append(
            f'    Signature(\n        "torch.optim",\n        "{signature.cls}",\n        (\n'
        )
        for argument in signature.arguments:
            annotation = f', "{argument.annotation}"' if argument.annotation else ""
            default = (
                f'"{argument.default}"'
                if isinstance(argument.default, str)
                else repr(argument.default)
            )
            lines.append(f'            Argument("{argument.name}", {default}{annotation}),\n')
        lines.append("        ),\n    ),\n")
    lines.append(")\n")
    return "".join(lines)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    TABLE.write_text(written(), encoding="utf-8")
