"""The option ``--ranks`` of ``optlab run``: several processes that share every batch of one run."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from optlab.core.errors import InvalidInput, RunFailed
from optlab.core.lazy import torch
from optlab.core.printable import printable
from optlab.experiment import Experiment
from optlab.experiment.own_code import own_code_of
from optlab.runners.answer import answer
from optlab.runners.ranks.joined import follow_first, joined, place
from optlab.runners.train import RunnerChoice
from optlab.tasks.checking import CheckTask
from optlab.training.data_parallel import MAX_RANKS, check_shareable

Ranks = Annotated[
    str,
    typer.Option(
        "--ranks",
        metavar="N",
        help="Train with N processes on this machine, each on its share of every batch; the result "
        "is that of one, to rounding. For several machines start the command by torchrun.",
    ),
]


def shared_by(text: str, runner: RunnerChoice) -> tuple[int, int | None]:
    """Return the number of this rank, and that of all ranks; (0, None) for a run of one process.

    Args:
        text: of ``--ranks``, "" where it is not given. runner: of ``--runner``.

    Raises:
        InvalidInput: the number is not allowed, or does not fit the rest.
    """
    number, size = place()
    if not text and not joined():
        return 0, None
    count = size
    if text:
        count = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
        if not 1 <= count <= MAX_RANKS and not joined():
            raise InvalidInput(
                f"--ranks is '{printable(text)}', but it must be a whole number from 1 to "
                f"{MAX_RANKS}.",
                "ranks",
            )
        if joined() and count != size:
            raise InvalidInput(
                f"--ranks is '{printable(text)}', but torchrun has started {size}; leave the option "
                "out.",
                "ranks",
            )
    if count == 1 and not joined():
        return 0, None
    if runner != "auto":
        raise InvalidInput(
            f"--runner is '{runner}', but each rank is a process of its own; leave one of --runner "
            "and --ranks out.",
            "runner",
        )
    # Every build of PyTorch for Linux has it, and importing torch takes seconds.
    if sys.platform != "linux" and not (
        torch.distributed.is_available() and torch.distributed.is_gloo_available()
    ):
        raise InvalidInput(
            "--ranks needs torch.distributed with gloo, which this build of PyTorch does not have; "
            "train without --ranks.",
            "ranks",
        )
    return number, count


def check_devices(experiment: Experiment, ranks: int) -> None:
    """Check that there is a GPU for each rank on this machine where the experiment asks for one.

    Raises:
        InvalidInput: there are too few.
    """
    if experiment.general.device != "cuda" or joined():
        return
    here = torch.cuda.device_count()
    if here < ranks:
        raise InvalidInput(
            f"device is 'cuda', and --ranks {ranks} needs a GPU for each rank, but this machine has "
            f"{here}; use --ranks {here} or device cpu.",
            "device",
        )


def check_ranks(experiment: Experiment, ranks: int) -> None:
    """Check that ranks can go on with the experiment of a stored run.

    In a worker where that executes code of the user's.

    Raises:
        InvalidInput: they cannot.
        RunFailed: the worker ended.
    """
    check_devices(experiment, ranks)
    tables = experiment.to_dict()
    if not own_code_of(tables):
        check_shareable(experiment, experiment.dataset.load())
        return
    task = CheckTask(tables, fit_loss=False, shared=True)
    result = answer(task, lambda text: print(text, end="", file=sys.stderr))
    if result.problem:
        raise InvalidInput(result.problem, result.field)


def follow_first_rank() -> int:
    """Take part in the run of the first rank, which tells what is to be done; return the exit code.

    Raises:
        RunFailed: it failed.
    """
    problem = follow_first()
    if problem:
        raise RunFailed(problem)
    return 0
