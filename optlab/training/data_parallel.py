"""Data-parallel training: what can be shared by several ranks, and what they must agree on.

Every rank goes through the same session on the same batches; the objective of each batch is shared
(:mod:`optlab.objective.shared`). So everything else is the same on all ranks without a word: batches,
random draws, updates, stopping rules. They compare what could differ from machine to machine: the
files, the data, and now and then the parameters.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from optlab.catalogue.optimizers.base import ObjectiveOptimizer
from optlab.core.data import Data, DataShape
from optlab.core.errors import InvalidInput, RunFailed
from optlab.core.lazy import torch
from optlab.experiment import Experiment
from optlab.experiment.data_files import files_of
from optlab.experiment.own_code import own_code_of
from optlab.objective.objective import Objective
from optlab.objective.ranks import Ranks
from optlab.objective.shared import SharedObjective
from optlab.training.snapshot import theta_sha256

MAX_RANKS = 64
"""Ranks on one machine, at most."""
COMPARED_STEPS = 100
"""Steps between comparisons of the ranks' parameters."""
_TOLERANCE = 1e-9
"""Relative difference, in float64, up to which the parts of a batch make up the whole."""


def check_shareable(experiment: Experiment, data: Data) -> None:
    """Check that ranks that share the batches of an experiment give what one process gives.

    Args:
        experiment: a valid one. data: its data. A model of the user's own is tried on some of them,
            which executes it.

    Raises:
        InvalidInput: they do not; the message says why.
    """
    rule, model = experiment.optimizer, experiment.model
    if experiment.general.device == "mps":
        raise InvalidInput(
            "device is 'mps', which several ranks cannot sum on; use cpu or cuda, or leave out "
            "--ranks.",
            "device",
        )
    if isinstance(rule, ObjectiveOptimizer) and model.normalizes():
        raise InvalidInput(
            f"optimizer.name is '{rule.name}', which evaluates the objective itself, and model.name "
            f"'{model.name}' normalizes over the batch: ranks can sum the moments of a batch for a "
            "gradient, but not for what this rule computes. Train without --ranks, with a rule that "
            "needs one gradient a step, or with a model that does not normalize over the batch.",
            "optimizer.name",
        )
    if model.differs_in_training(data.shape):
        raise InvalidInput(
            f"model.name is '{model.name}', whose training passes draw random numbers or depend on "
            "their batch (dropout, batch normalization with running statistics): on the parts of a "
            "batch they are others than on the whole. Train without --ranks, or switch these layers "
            "off.",
            "model.name",
        )
    if isinstance(rule, ObjectiveOptimizer) and rule.needs_examples:
        raise InvalidInput(
            f"optimizer.name is '{rule.name}', which keeps a gradient of every training example; ranks "
            "cannot share that. Train without --ranks.",
            "optimizer.name",
        )
    if own_code_of(experiment.to_dict()):
        _check_parts(experiment, data)


def _check_parts(experiment: Experiment, data: Data) -> None:
    """Check that the gradient on a batch is the mean of those on its parts.

    Raises:
        InvalidInput: it is not.
    """
    x = torch.from_numpy(data.training.x)[:7]
    y = torch.from_numpy(data.training.y)[:7]
    objective = Objective(experiment.model, experiment.loss, data.shape, x)
    objective.begin([experiment.general.seed])
    source = torch.Generator().manual_seed(0)
    theta = torch.randn(1, objective.layout.total, generator=source, dtype=torch.float64)
    theta = theta / objective.layout.total**0.5

    def gradient(begin: int, end: int) -> torch.Tensor:
        part = (x[begin:end].unsqueeze(0), y[begin:end].unsqueeze(0))
        return objective.value_and_gradient(theta, *part)[1]

    n = len(x)
    cut = n // 2
    whole = gradient(0, n)
    parts = (gradient(0, cut) * cut if cut else 0.0) + gradient(cut, n) * (n - cut)
    if not torch.allclose(parts / n, whole, rtol=_TOLERANCE, atol=_TOLERANCE):
        raise InvalidInput(
            f"model.name is '{experiment.model.name}': its gradient on a batch is not the mean of "
            "those on parts of the batch (what it gives for one example depends on the others, or "
            "on random numbers), so ranks cannot share its batches; train without --ranks.",
            "model.name",
        )


def shared_objective(whole: Objective, shape: DataShape, ranks: Ranks) -> Objective:
    """Return the objective whose batches the ranks share: ``whole`` itself where there is one rank.

    Args:
        shape: of the data.
    """
    return SharedObjective(whole, shape, ranks) if ranks.together else whole


def check_same_data(ranks: Ranks, experiment: Experiment, data: Data) -> None:
    """Check that all ranks have read the same files and hold the same examples.

    Raises:
        InvalidInput: they do not; raised on all ranks.
        RanksParted: another rank has ended.
    """
    if not ranks.together:
        return
    files = files_of(experiment)
    found = ranks.different(_digest([identity.sha256.encode() for identity in files.values()]))
    if found:
        raise InvalidInput(
            f"{', '.join(files) or 'What the experiment reads'}: {_ranks(found)} reads something "
            "else there than rank 0; put the same files on all machines."
        )
    parts = (data.training, data.validation, data.test)
    arrays = [array for part in parts for array in (part.x, part.y)]
    found = ranks.different(
        _digest([piece for a in arrays for piece in (repr(a.shape).encode(), a.tobytes())])
    )
    if found:
        raise InvalidInput(
            f"The examples of dataset '{experiment.dataset.name}' on {_ranks(found)} are not those "
            "on rank 0; use the same versions of OptLab and its libraries on all machines."
        )


def compare_parameters(ranks: Ranks, theta: torch.Tensor, step: int, last: int) -> None:
    """Compare the ranks' parameters bit for bit, every :data:`COMPARED_STEPS` and at the end.

    Args:
        theta: ``[R, P]`` after ``step`` steps. last: number of steps of the run.

    Raises:
        RunFailed: they differ; raised on all ranks.
        RanksParted: another rank has ended.
    """
    if not ranks.together or (step % COMPARED_STEPS and step != last):
        return
    found = ranks.different(bytes.fromhex(theta_sha256(theta.cpu().numpy())))
    if found:
        raise RunFailed(
            f"After step {step:,} the parameters of {_ranks(found)} are not those of rank 0, though "
            "all take the same steps: the machines or their libraries compute differently, or "
            "memory is faulty. Resume the run without --ranks, or on machines of one kind."
        )


def agreed_values(ranks: Ranks, values: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the first rank's evaluation measures ``[R]``: what is decided by them is the same.

    Raises:
        RanksParted: another rank has ended.
    """
    if not ranks.together or not values:
        return dict(values)
    first = next(iter(values.values()))
    table = torch.stack([value.to(first) for value in values.values()])
    agreed = ranks.from_first(table)
    return {
        name: row.to(value.dtype) for (name, value), row in zip(values.items(), agreed, strict=True)
    }


def described(ranks: Ranks, device: str) -> str:
    """Return what a run computes on, with the number of its ranks where there are several."""
    return f"{ranks.size} ranks, each on {device}" if ranks.size > 1 else device


def _digest(pieces: Sequence[bytes]) -> bytes:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(len(piece).to_bytes(8, "little"))
        digest.update(piece)
    return digest.digest()


def _ranks(numbers: Sequence[int]) -> str:
    return f"rank{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
