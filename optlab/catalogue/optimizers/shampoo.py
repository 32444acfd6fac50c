"""Shampoo: a preconditioner for each dimension of each tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.optimizers import _matrices as matrices
from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers.base import Optimizer, State
from optlab.core.fields import integer
from optlab.core.lazy import torch

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters


class Shampoo(Optimizer):
    """Gradients of a weight matrix multiplied from both sides by roots of their own second moments.

    AdaGrad with a full matrix would need P² numbers. A weight matrix of m × n has instead a
    preconditioner for its rows, m × m, and one for its columns, n × n; their Kronecker product
    stands for the full one. Vectors have one matrix, which is then the full one of AdaGrad. As in
    AdaGrad, the moments are sums over all steps, so steps become shorter.
    """

    name: ClassVar[str] = "shampoo"
    label: ClassVar[str] = "Shampoo"
    group: ClassVar[str] = "Second-order methods"
    sort_order: ClassVar[int] = 240
    rule: ClassVar[tuple[str, ...]] = (
        r"L \leftarrow L + G G^\top,\quad R \leftarrow R + G^\top G",
        r"W \leftarrow W - \epsilon\, L^{-1/4}\, G\, R^{-1/4}",
        r"B \leftarrow B + g g^\top,\quad b \leftarrow b - \epsilon\, B^{-1/2} g",
    )
    symbols: ClassVar[dict[str, str]] = {
        "W": "a weight matrix, and G its gradient",
        "L, R": "preconditioners of rows and columns, initially δI",
        "b": "a vector, g its gradient and B its preconditioner, initially δI",
    }
    elementwise: ClassVar[bool] = False
    fixed: ClassVar[tuple[str, ...]] = ("largest", "period")
    source: ClassVar[str] = (
        "V. Gupta, T. Koren, Y. Singer, Shampoo: Preconditioned Stochastic Tensor Optimization"
        " (2018), algorithms 1 and 2; not in the notes."
    )
    differences: ClassVar[str] = (
        "torch has no Shampoo. A tensor of k dimensions has k preconditioners with the exponent"
        " −1/(2k). There is no grafting of the step length, no momentum and no splitting into"
        " blocks, which large-scale versions add; a dimension above the limit is not"
        " preconditioned, with the same exponent for the others."
    )

    lr: float = shared.learning_rate(
        0.1,
        slider=(1e-4, 10.0),
        help="Length of the steps relative to the preconditioned gradient.",
        why="A matrix moves by about ε in each direction in the first step, as in AdaGrad.",
    )
    eps: float = shared.small_constant(
        1e-6,
        symbol="δ",
        help="Multiple of the identity with which the preconditioners start.",
        why="Smaller than the squared gradients that matter.",
    )
    period: int = integer(
        1,
        "Steps per root",
        unit="steps",
        ge=1,
        log=True,
        slider=(1, 100),
        help="The roots are computed in the first of every so many steps; between, the last ones"
        " are used.",
        why="Exact. Above a few hundred rows the decompositions take most of the time; the roots"
        " change slowly, so 10 to 50 hardly change the result.",
    )
    largest: int = integer(
        1024,
        "Largest dimension",
        ge=1,
        log=True,
        slider=(16, 8192),
        help="Dimensions that are longer are not preconditioned.",
        why="A decomposition of 1024 rows takes about a tenth of a second.",
    )

    @classmethod
    def begin(cls, theta: torch.Tensor, h: Hyperparameters) -> State:
        of = matrices.sides(h.layout, h.largest)
        moments = h.eps * matrices.identities(of, theta)
        return {"moments": moments, "roots": torch.zeros_like(moments)}

    @staticmethod
    def update(
        theta: torch.Tensor, g: torch.Tensor, state: State, h: Hyperparameters
    ) -> tuple[torch.Tensor, State]:
        of = matrices.sides(h.layout, h.largest)
        parts = h.layout.split(g)
        grams = [matrices.gram(parts[side.tensor], side.axis) for side in of]
        moments = state["moments"] + matrices.joined(grams, theta)
        roots = state["roots"]
        if (h.step - 1) % h.period == 0:
            powers = [
                _power(matrix, -0.5 / side.order)
                for matrix, side in zip(matrices.split(moments, of), of, strict=True)
            ]
            roots = matrices.joined(powers, theta)
        for root, side in zip(matrices.split(roots, of), of, strict=True):
            parts[side.tensor] = matrices.along(root, parts[side.tensor], side.axis)
        step = torch.cat([part.reshape(len(g), -1) for part in parts], dim=1)
        return theta - h.lr * step, {"moments": moments, "roots": roots}


def _power(matrix: torch.Tensor, exponent: float) -> torch.Tensor:
    """Return powers of symmetric positive definite matrices ``[R, n, n]``.

    A matrix that is not finite gives nan.
    """
    values, vectors, finite = matrices.eigen(matrix)
    # Rounding can make the smallest eigenvalues negative, but none is below what is resolved.
    least = torch.finfo(matrix.dtype).eps * values.amax(dim=1, keepdim=True)
    powers = torch.maximum(values, least) ** exponent
    power = (vectors * powers.unsqueeze(1)) @ vectors.transpose(1, 2)
    return torch.where(finite, power, float("nan"))
