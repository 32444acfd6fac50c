"""SAGA: stochastic gradients whose noise is taken out with a table of past gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers._runs import run_by_run
from optlab.catalogue.optimizers.base import Objective, ObjectiveOptimizer, Outcome, State
from optlab.core.lazy import torch

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters


class SAGA(ObjectiveOptimizer):
    """Gradient descent on minibatches, corrected by the last gradient of every training example.

    A table holds the gradient of each example as it was when the example was last seen. The mean of
    the table is an estimate of the full gradient without noise; the batch corrects it by how much
    the gradients of its own examples have changed. For a strongly convex problem the iterates then
    converge at a constant rate, where SGD needs a falling one, and no step needs a pass over the
    training set, as SVRG does. The price is the table, of n times P numbers, which every snapshot
    holds, too: the method is for small models.
    """

    name: ClassVar[str] = "saga"
    label: ClassVar[str] = "SAGA"
    group: ClassVar[str] = "Basic algorithms"
    sort_order: ClassVar[int] = 37
    rule: ClassVar[tuple[str, ...]] = (
        r"v = \frac{1}{m} \sum_{i \in B} \left(\nabla J_i(\theta) - \alpha_i\right) + \frac{1}{n}"
        r" \sum_{i=1}^{n} \alpha_i",
        r"\theta \leftarrow \theta - \epsilon\, v",
        r"\alpha_i \leftarrow \nabla J_i(\theta) \quad \mathrm{for}\ i \in B",
    )
    traced: ClassVar[tuple[str, ...]] = ("v", "after", "")
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters",
        "g": "gradient of the objective on the batch, the mean of the ∇J_i",
        "J_i": "loss of example i, with weight decay",
        "α_i": "last gradient of example i, initially 0",
        "B": "the m examples of the batch",
        "n": "number of training examples",
    }
    along_gradient: ClassVar[bool] = True
    needs_examples: ClassVar[bool] = True
    source: ClassVar[str] = (
        "A. Defazio, F. Bach, S. Lacoste-Julien, SAGA: A Fast Incremental Gradient Method With"
        " Support for Non-Strongly Convex Composite Objectives (2014); not in the notes."
    )
    differences: ClassVar[str] = (
        "The paper takes one example a step and fills the table before the first one; here a batch"
        " is taken, and examples that were not seen yet count as zero. sklearn's saga does the same"
        " for linear models, whose gradients are one number each."
    )

    lr: float = shared.learning_rate(
        0.1, slider=(1e-5, 10.0), help="Factor of the corrected gradient.", why="As for SGD."
    )

    @classmethod
    def begin(cls, theta: torch.Tensor, h: Hyperparameters) -> State:
        runs, parameters = theta.shape
        return {"table": theta.new_zeros(runs, h.examples * parameters)}

    @staticmethod
    def step(
        theta: torch.Tensor, objective: Objective, state: State, h: Hyperparameters
    ) -> Outcome:
        return run_by_run(theta, objective, state, h, _step)


def _step(theta: torch.Tensor, objective: Objective, state: State, h: Hyperparameters) -> Outcome:
    values, gradients = objective.example_gradients(theta)
    rows = objective.example_rows()[0]
    table = state["table"].view(-1, theta.shape[1])
    g = gradients.mean(dim=1)
    v = g - table[rows].mean(dim=0) + table.mean(dim=0)
    after = theta - h.lr * v
    # An order with replacement may draw an example twice, with the same gradient.
    renewed = table.index_put((rows,), gradients[0])
    return Outcome(after, {"table": renewed.view(1, -1)}, values.mean(dim=1), g, ("",))
