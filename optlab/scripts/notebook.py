"""A script as a notebook: one cell for each of its sections."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from optlab.scripts.writing import DATA, Script


def notebook(script: Script, data: str) -> str:
    """Return a notebook of format 4.5 as text.

    Args:
        script: to write. data: name of the file beside it.
    """
    head = "\n\n".join([f"# {script.title}", *script.about])
    cells = [_cell("markdown", head)]
    for section in script.sections:
        cells += [
            _cell("markdown", f"## {section.title}"),
            _cell("code", section.code.replace(DATA, json.dumps(data))),
        ]
    for number, cell in enumerate(cells):
        digest = hashlib.sha256(f"{number}:{cell['source']}".encode())
        cell["id"] = digest.hexdigest()[:16]
    document = {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def _cell(kind: str, text: str) -> dict[str, Any]:
    cell: dict[str, Any] = {
        "cell_type": kind,
        "metadata": {},
        "source": text.splitlines(keepends=True),
    }
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})
