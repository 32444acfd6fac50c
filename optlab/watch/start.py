"""``optlab.watch``: the one line that begins to watch."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from optlab.core import paths
from optlab.core.lazy import torch
from optlab.watch.watcher import Options, Watcher

SWITCH = "OPTLAB_WATCH"
"""Environment variable; "0" switches watching off."""
SHARE = 0.02
"""Share of the loop's time that watching takes by default."""


def watch(
    model: Any,
    optimizer: Any = None,
    *,
    folder: str | os.PathLike[str] | None = None,
    name: str = "",
    share: float = SHARE,
    every: int | None = None,
    scaler: Any = None,
) -> Watcher:
    """Return a watcher of a training loop; the loop stays as it is, and its numbers do not change.

    Hooks of the optimizer count its steps. At some of them, as often as ``share`` allows, they read
    norms of gradients before and after clipping, weights and updates, tensor by tensor, the share of
    updates that the precision of the weights loses, and second moments. Nothing is raised: what
    cannot be watched is said once on standard error. Of several processes that train one model, the
    first one watches. ``OPTLAB_WATCH=0`` in the environment switches watching off.

    Args:
        model: a ``torch.nn.Module``, a list of them or a dictionary name → module.
        optimizer: a ``torch.optim.Optimizer``, a list of them or a dictionary name → optimizer; by
            default all that turn out to step a parameter of the model. The steps of the first one
            are the steps of the run.
        folder: in which the run gets a folder of its own; by default ``watched`` in OptLab's data
            folder.
        name: of the run, for people; by default that of the script.
        share: of the time of the loop that watching may take.
        every: steps from one reading to the next, whatever it costs; by default as ``share`` allows.
        scaler: the ``torch.amp.GradScaler``, where it cannot be found among the callers of
            ``optimizer.step``.
    """
    watcher = Watcher()
    if os.environ.get(SWITCH, "").strip() == "0" or not is_first_process():
        return watcher
    try:
        place = Path(folder) if folder is not None else default_folder()
        options = Options(name=name, share=share, every=every, scaler=scaler)
        watcher.start(model, optimizer, place, options)
    except Exception as error:  # noqa: BLE001 - the program that is watched must not see it
        watcher.give_up("The loop is not watched", error)
        return watcher
    if sys.stderr is not None and folder is None:
        print(f"optlab.watch: see this run with: optlab {place}", file=sys.stderr)
    return watcher


def default_folder() -> Path:
    """Return the folder of runs that were given none."""
    return paths.home() / "watched"


def is_first_process() -> bool:
    """Return whether this process is the only one that trains the model, or the first of them."""
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return int(distributed.get_rank()) == 0
    rank = os.environ.get("RANK", "0")
    return not rank.isdecimal() or int(rank) == 0
