"""The loop that a user would write: a module, a DataLoader, ``torch.optim``, ``item()`` twice a step.

What it measures goes to TensorBoard, where that is installed; OptLab stores it, too. The loop starts
where OptLab's run starts and sees the same batches, so that the losses can be compared.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from optlab.benchmarks.benchmark import Timing
from optlab.catalogue.batches.base import Examples
from optlab.core.lazy import functional, torch
from optlab.experiment import Experiment
from optlab.objective.seeding import generators
from optlab.training.trainer import Trainer

MOMENTUM = 0.9
STORES = importlib.util.find_spec("tensorboard") is not None
"""Whether the loop writes what it measures to a file."""
DESCRIPTION = "one's own loop: DataLoader, torch.optim.SGD, loss and gradient norm by item(), " + (
    "stored by TensorBoard" if STORES else "in lists (TensorBoard is not installed)"
)


@dataclass(frozen=True)
class Digits:
    """A multilayer perceptron on digits, trained with momentum.

    Attributes:
        hidden: units of each hidden layer. batch: examples of a batch. steps: of a run. compiled:
            whether OptLab's steps are, where there is a compiler.
    """

    hidden: tuple[int, ...]
    batch: int
    steps: int
    compiled: bool = False

    def experiment(self, seed: int = 0, lr: float = 0.01) -> Experiment:
        """Return OptLab's run, evaluated at both ends only, as a loop of one's own is not either."""
        return Experiment.from_dict(
            {
                "seed": seed,
                "compiled": self.compiled,
                "dataset": {"name": "digits"},
                "model": {"name": "mlp", "hidden": list(self.hidden)},
                "optimizer": {"name": "momentum", "momentum": MOMENTUM, "lr": lr},
                "batches": {"name": "shuffled", "size": self.batch},
                "budget": {"steps": self.steps},
                "measures": {"evaluate_every": 10**9, "weights": 0},
            }
        )


class OwnLoop:
    """The user's own loop for one experiment.

    Args:
        case: what is trained. experiment: with its start and its batches; by default its own.
    """

    def __init__(self, case: Digits, experiment: Experiment | None = None) -> None:
        self._case = case
        experiment = experiment or case.experiment()
        training = experiment.dataset.load().training
        self._x = torch.tensor(training.x, dtype=torch.float32).flatten(1)
        self._y = torch.tensor(training.y)
        trainer = Trainer([experiment])
        examples = Examples(self._x, self._y)
        epochs = math.ceil(case.steps / trainer.steps_per_epoch)
        self._batches = [
            rows.tolist()
            for epoch in range(epochs)
            for rows in experiment.batches.epoch_order(
                examples, epoch, generators(experiment.general.seed)
            ).split(case.batch)
        ][: case.steps]
        self._start = trainer.theta[0].clone()

    def run(self, lr: float = 0.01, *, stores: bool = STORES) -> Timing:
        """Train once.

        Returns:
            Steps a second, and the final training loss.
        """
        model = self.model()
        optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=MOMENTUM)
        with _writer(stores=stores) as write:
            begun = time.perf_counter()
            for step, (x, y) in enumerate(self.batches()):
                optimizer.zero_grad()
                loss = functional.cross_entropy(model(x), y)
                loss.backward()
                norm = torch.linalg.vector_norm(
                    torch.stack([torch.linalg.vector_norm(p.grad) for p in model.parameters()])
                )
                optimizer.step()
                write("loss", loss.item(), step)
                write("gradient_norm", norm.item(), step)
            elapsed = time.perf_counter() - begun
        with torch.no_grad():
            final = functional.cross_entropy(model(self._x), self._y).item()
        return Timing(self._case.steps / elapsed, (final,))

    def model(self) -> torch.nn.Module:
        """Return the network at the start of OptLab's run."""
        widths = [self._x.shape[1], *self._case.hidden, int(self._y.max()) + 1]
        layers: list[torch.nn.Module] = []
        for inputs, outputs in zip(widths, widths[1:], strict=False):
            layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
        model = torch.nn.Sequential(*layers[:-1])
        torch.nn.utils.vector_to_parameters(self._start.clone(), model.parameters())
        return model

    def batches(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Return the batches of OptLab's run: inputs ``[m, inputs]`` and classes ``[m]``."""
        dataset = torch.utils.data.TensorDataset(self._x, self._y)
        loader = torch.utils.data.DataLoader(dataset, batch_sampler=self._batches)
        return iter(loader)


@contextlib.contextmanager
def _writer(*, stores: bool) -> Iterator[Callable[[str, float, int], object]]:
    """Give a function that keeps a value: name, value, step."""
    if not stores:
        values: list[tuple[str, float, int]] = []
        yield lambda name, value, step: values.append((name, value, step))
        return
    from torch.utils.tensorboard import SummaryWriter

    with tempfile.TemporaryDirectory() as folder, SummaryWriter(folder) as writer:
        yield writer.add_scalar
