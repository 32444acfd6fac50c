"""Who a watched run is: its folder, and ``run.json`` in it, which is written once."""

from __future__ import annotations

import json
import os
import platform
import secrets
import socket
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optlab
from optlab.core.lazy import torch
from optlab.watch.blocks import RUN_FILE, VERSION
from optlab.watch.tensors import NamedTensor


def create(
    place: Path,
    title: str,
    modules: Mapping[str, torch.nn.Module],
    tensors: Sequence[NamedTensor],
) -> Path:
    """Make the folder of a run, and return it.

    Raises:
        OSError: it cannot be made or written.
    """
    now = datetime.now(UTC)
    run = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    folder = place.expanduser().absolute() / run
    folder.mkdir(parents=True)
    text = json.dumps(_document(run, title, now, modules, tensors), indent=1)
    temporary = folder / f".{RUN_FILE}.part"
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(folder / RUN_FILE)
    return folder


def _document(
    run: str,
    title: str,
    now: datetime,
    modules: Mapping[str, torch.nn.Module],
    tensors: Sequence[NamedTensor],
) -> dict[str, Any]:
    program = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else ""
    return {
        "format": VERSION,
        "run": run,
        "title": title or program or "run",
        "created": now.isoformat(timespec="seconds"),
        "host": socket.gethostname(),
        "process": os.getpid(),
        "models": [
            {"name": name, "class": type(getattr(module, "_orig_mod", module)).__name__}
            for name, module in modules.items()
        ],
        "parameters": sum(tensor.parameter.numel() for tensor in tensors),
        "tensors": [
            {
                "name": tensor.name,
                "shape": list(tensor.parameter.shape),
                "dtype": str(tensor.parameter.dtype).partition(".")[2],
                "estimated": tensor.stride > 1,
            }
            for tensor in tensors
        ],
        "versions": {
            "optlab": optlab.__version__,
            "torch": str(torch.version.__version__),
            "python": platform.python_version(),
        },
    }
