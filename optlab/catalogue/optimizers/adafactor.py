"""Adafactor: second moments of matrices from their rows and columns alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from optlab.catalogue.optimizers import _per_tensor as per_tensor
from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers.base import Optimizer, State
from optlab.core.fields import number
from optlab.core.layout import Layout
from optlab.core.lazy import torch

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters


class Adafactor(Optimizer):
    """Adaptive rates whose second moment of a matrix takes as much memory as a row and a column.

    The second moment of a weight matrix is close to the product of the mean of each row and the
    mean of each column, which are all that is kept. There is no first moment. The step of a tensor
    is relative to its own size, as long as the root of its mean square, and its length is bounded,
    because the second moment lags behind when gradients grow.
    """

    name: ClassVar[str] = "adafactor"
    label: ClassVar[str] = "Adafactor"
    group: ClassVar[str] = "Adaptive learning rates"
    sort_order: ClassVar[int] = 88
    rule: ClassVar[tuple[str, ...]] = (
        r"\rho_t = 1 - t^{\kappa},\quad a \leftarrow \rho_t a + (1 - \rho_t)\, \mathrm{rows}(g"
        r" \odot g),\quad b \leftarrow \rho_t b + (1 - \rho_t)\, \mathrm{columns}(g \odot g)",
        r"r = \frac{a b^\top}{\mathrm{mean}(a)},\quad u = \frac{g}{\sqrt{r}}",
        r"\theta \leftarrow (1 - \epsilon \lambda)\, \theta",
        r"\theta \leftarrow \theta - \max(\delta_2, \mathrm{rms}(\theta))\, \min\left(\epsilon,"
        r" \tfrac{1}{\sqrt{t}}\right) \frac{u}{\max(1, \mathrm{rms}(u) / d)}",
    )
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters of one tensor",
        "g": "gradient of the objective on the batch",
        "a, b": "means of the squares in each row and each column, initially 0; a vector keeps r",
        "u": "step before its length is bounded",
        "rms": "root of the mean square over the tensor",
        "t": "step number, starting from 1",
    }
    elementwise: ClassVar[bool] = False
    source: ClassVar[str] = (
        "N. Shazeer, M. Stern, Adafactor: Adaptive Learning Rates with Sublinear Memory Cost"
        " (2018), algorithms 4 and 5; not in the notes."
    )
    differences: ClassVar[str] = (
        "Same as torch.optim.Adafactor: the constant of the paper that is added to the squares is"
        " replaced by the smallest r that is divided by, the machine epsilon squared. Tensors of"
        " more than two dimensions are matrices in their last two."
    )

    lr: float = shared.learning_rate(
        0.01,
        help="Largest relative step of a tensor; after 1/ε² steps it falls as 1/√t.",
        why="The default of the paper and of torch.",
    )
    decay_power: float = number(
        -0.8,
        "Power of the decay",
        symbol="κ",
        le=0.0,
        ge=-1.0,
        slider=(-1.0, -0.1),
        help="The decay of the second moments at step t is 1 − t to this power: it grows, so that"
        " they remember more and more.",
        why="The default of the paper and of torch.",
    )
    least_scale: float = number(
        1e-3,
        "Smallest scale",
        symbol="δ₂",
        gt=0.0,
        log=True,
        slider=(1e-6, 1.0),
        help="Scale of a tensor whose values are smaller, so that one of zeros can move.",
        why="The default of the paper and of torch.",
    )
    clip: float = number(
        1.0,
        "Bound of the step",
        symbol="d",
        gt=0.0,
        slider=(0.5, 5.0),
        help="Largest root mean square of the step before it is scaled.",
        why="The default of the paper and of torch.",
    )
    weight_decay: float = shared.weight_decay(
        0.0, why="The default of torch. Set the L2 penalty of the loss to zero, or both act."
    )

    @classmethod
    def begin(cls, theta: torch.Tensor, h: Hyperparameters) -> State:
        sizes = _sizes(h.layout)
        return {
            "rows": theta.new_zeros(len(theta), sum(rows for rows, _ in sizes)),
            "columns": theta.new_zeros(len(theta), sum(columns for _, columns in sizes)),
        }

    @staticmethod
    def update(
        theta: torch.Tensor, g: torch.Tensor, state: State, h: Hyperparameters
    ) -> tuple[torch.Tensor, State]:
        fresh = h.step**h.decay_power
        least = torch.finfo(theta.dtype).eps
        sizes = _sizes(h.layout)
        parts = zip(
            h.layout.split(g),
            state["rows"].split_with_sizes([rows for rows, _ in sizes], 1),
            state["columns"].split_with_sizes([columns for _, columns in sizes], 1),
            strict=True,
        )
        rows, columns, steps = [], [], []
        for part, row, column in parts:
            squares = part * part
            if part.dim() > 2:
                rows.append(_mixed(row, squares.mean(dim=-1), fresh))
                columns.append(_mixed(column, squares.mean(dim=-2), fresh))
                a = rows[-1].view(*part.shape[:-1], 1)
                b = columns[-1].view(*part.shape[:-2], 1, part.shape[-1])
                r = a * b / a.mean(dim=-2, keepdim=True).clamp(min=least)
            else:
                rows.append(_mixed(row, squares, fresh))
                columns.append(column)
                r = rows[-1].view_as(part)
            steps.append((part * r.clamp(min=least * least).rsqrt()).reshape(len(g), -1))
        step = torch.cat(steps, dim=1)
        numbers = per_tensor.numbers(h.layout.sizes, theta)
        length = per_tensor.norms(step, h.layout) / numbers.sqrt()
        size = per_tensor.norms(theta, h.layout) / numbers.sqrt()
        rate = theta.new_zeros(1) + h.lr
        scale = torch.maximum(size, size * 0.0 + h.least_scale) * rate.clamp(max=h.step**-0.5)
        factor = per_tensor.spread(scale / (length / h.clip).clamp(min=1.0), h.layout)
        return (1.0 - h.lr * h.weight_decay) * theta - factor * step, {
            "rows": torch.cat(rows, dim=1),
            "columns": torch.cat(columns, dim=1),
        }


def _sizes(layout: Layout) -> list[tuple[int, int]]:
    """Return how many values of the second moment each tensor keeps: of rows, of columns."""
    return [
        (spec.size // spec.shape[-1], spec.size // spec.shape[-2])
        if len(spec.shape) > 1
        else (spec.size, 0)
        for spec in layout.parameters
    ]


def _mixed(before: torch.Tensor, now: torch.Tensor, share: Any) -> torch.Tensor:
    """Return the running mean ``[R, n]`` with the values ``[R, …]`` of this step in it."""
    mixed: torch.Tensor = before + share * (now.reshape(before.shape) - before)
    return mixed
