"""OptLab: a laboratory for deep-learning optimization.

The idea: the parameters of R runs are one tensor ``theta`` of shape ``[R, P]``. A run is R = 1; a
race, a sweep or many seeds are R > 1; and an update rule is a pure function of ``(theta, g, state,
hyperparameters)`` on the rows of that tensor. One rule therefore has three faces.

A run trains a model. Two runs that differ in their optimizer share one tensor:

>>> from optlab.experiment import Experiment
>>> from optlab.training.trainer import Trainer
>>> base = {"dataset": {"name": "moons"}, "model": {"name": "linear"}, "device": "cpu"}
>>> rules = [{"name": "sgd", "lr": 0.1}, {"name": "adam", "lr": 0.1}]
>>> trainer = Trainer([Experiment.from_dict({**base, "optimizer": rule}) for rule in rules])
>>> trainer.advance()
>>> tuple(trainer.theta.shape)
(2, 6)

The same rule is a ``torch.optim.Optimizer`` for a script of your own:

>>> import torch, optlab.optim
>>> weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
>>> optimizer = optlab.optim.Momentum([weight], lr=0.1, momentum=0.9)
>>> weight.square().sum().backward()
>>> optimizer.step()
>>> [round(value, 6) for value in weight.tolist()]
[0.8, -1.6]

And it races on a function of two variables, where each contender is one row of ``theta``:

>>> from optlab.core import registry
>>> from optlab.studies.surfaces.descent import Contender, race
>>> quadratic = registry.build("surface", {"name": "quadratic"})
>>> rules = [registry.build("optimizer", {"name": name}) for name in ("sgd", "momentum")]
>>> raced = race(quadratic, [Contender(rule, (1.0, 1.0)) for rule in rules], 50)
>>> raced.positions.shape
(51, 2, 2)

And a training loop of your own is watched by two lines, this import and::

    w = optlab.watch(model, optimizer)  # then: optlab FOLDER

The map, and what may import what, is in ``ARCHITECTURE.md``: ``core``, ``numerics``, ``watch``,
``callbacks``, ``outside``, ``catalogue``, ``experiment``, ``objective``, ``curvature``, ``optim``,
``training``, ``store``, ``history``, ``studies``, ``tasks``, ``runners``, ``benchmarks``, ``cli``,
``gui``, in the order in which they may be imported.
"""

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import what a script of the user's asks for, at its first use."""
    if name in ("watch", "callbacks"):
        import importlib

        return importlib.import_module(f"optlab.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
