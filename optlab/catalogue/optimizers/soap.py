"""SOAP: Adam in the eigenbasis of Shampoo's preconditioners."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.optimizers import _matrices as matrices
from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers.base import Optimizer, State
from optlab.core.fields import integer
from optlab.core.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optlab.catalogue.optimizers._matrices import Side
    from optlab.core.hyperparameters import Hyperparameters


class SOAP(Optimizer):
    """Adam on gradients that are rotated into the eigenbasis of their row and column moments.

    Shampoo is close to a second moment per value, in the basis of the eigenvectors of its
    preconditioners. SOAP keeps that second moment as Adam does, at every step, and lets the basis
    follow slowly. So it needs few decompositions, and has the hyperparameters of Adam and one more.
    Vectors, such as biases, are trained by Adam.
    """

    name: ClassVar[str] = "soap"
    label: ClassVar[str] = "SOAP"
    group: ClassVar[str] = "Second-order methods"
    sort_order: ClassVar[int] = 242
    rule: ClassVar[tuple[str, ...]] = (
        r"S \leftarrow \rho_1 S + (1 - \rho_1)\, G",
        r"G' = Q_L^\top G\, Q_R,\quad V \leftarrow \rho_2 V + (1 - \rho_2)\, G' \odot G'",
        r"N = \frac{Q_L^\top S\, Q_R}{\sqrt{V} + \delta}",
        r"W \leftarrow (1 - \epsilon \lambda) \left(W - \epsilon\, \frac{\sqrt{1 - \rho_2^{t -"
        r" 1}}}{1 - \rho_1^{t - 1}}\, Q_L N Q_R^\top\right)",
        r"L \leftarrow \rho_2 L + (1 - \rho_2)\, G G^\top,\quad R \leftarrow \rho_2 R + (1 -"
        r" \rho_2)\, G^\top G",
        r"Q_L \leftarrow \mathrm{orth}(L\, Q_L),\quad Q_R \leftarrow \mathrm{orth}(R\, Q_R) \quad"
        r" \mathrm{every}\ k\ \mathrm{steps}",
    )
    symbols: ClassVar[dict[str, str]] = {
        "W": "a weight matrix, and G its gradient",
        "S": "first moment, initially 0",
        "V": "second moment in the eigenbasis, initially 0",
        "L, R": "moments of rows and columns, initially 0",
        "Q": "bases of rows and columns: the eigenvectors of L and R after the first gradient",
        "t": "step number, starting from 1; the first step only sets L, R and Q",
    }
    elementwise: ClassVar[bool] = False
    fixed: ClassVar[tuple[str, ...]] = ("largest", "period")
    source: ClassVar[str] = (
        "N. Vyas et al., SOAP: Improving and Stabilizing Shampoo using Adam (2024), algorithms 3"
        " and 4; not in the notes."
    )
    differences: ClassVar[str] = (
        "Same as the authors' code: the first step moves nothing, and orth is one power iteration"
        " followed by a QR decomposition. Directions without a gradient in the first step have an"
        " arbitrary basis there; this rule chooses one that does not depend on rounding. torch has"
        " no SOAP."
    )
    torch_arguments: ClassVar[dict[str, tuple[str, ...]]] = {"betas": ("beta1", "beta2")}

    lr: float = shared.learning_rate(
        0.003,
        help="Approximate length of the step of each value in the eigenbasis.",
        why="The default of the authors.",
    )
    beta1: float = shared.first_moment_decay(0.95, why="The default of the authors.")
    beta2: float = shared.second_moment_decay(
        0.95,
        help="Share of the running means of squared gradients and of row and column moments that a"
        " step keeps.",
        why="The default of the authors.",
    )
    eps: float = shared.small_constant(
        1e-8,
        help="Keeps the division finite where the gradient is zero; added outside the square root.",
    )
    weight_decay: float = shared.weight_decay(
        0.0, why="The authors use 0.01. Set the L2 penalty of the loss to zero, or both act."
    )
    period: int = integer(
        10,
        "Steps per basis",
        symbol="k",
        unit="steps",
        ge=1,
        log=True,
        slider=(1, 100),
        help="The basis follows the moments every so many steps.",
        why="The default of the authors: 1 is somewhat better and much slower.",
    )
    largest: int = integer(
        1024,
        "Largest dimension",
        ge=1,
        log=True,
        slider=(16, 10_000),
        help="Dimensions that are longer are not rotated.",
        why="A decomposition of 1024 rows takes about a tenth of a second.",
    )

    @classmethod
    def begin(cls, theta: torch.Tensor, h: Hyperparameters) -> State:
        bases = matrices.identities(matrices.sides(h.layout, h.largest, 2), theta)
        return {
            "m": torch.zeros_like(theta),
            "v": torch.zeros_like(theta),
            "moments": torch.zeros_like(bases),
            "bases": bases,
        }

    @staticmethod
    def update(
        theta: torch.Tensor, g: torch.Tensor, state: State, h: Hyperparameters
    ) -> tuple[torch.Tensor, State]:
        of = matrices.sides(h.layout, h.largest, 2)
        parts = h.layout.split(g)
        grams = matrices.joined([matrices.gram(parts[one.tensor], one.axis) for one in of], theta)
        moments = h.beta2 * state["moments"] + (1.0 - h.beta2) * grams
        gathered = matrices.split(moments, of)
        if h.step == 1:
            first = matrices.joined([_basis(matrix) for matrix in gathered], theta)
            return theta.clone(), {**state, "moments": moments, "bases": first}
        bases, t = matrices.split(state["bases"], of), h.step - 1
        m = h.beta1 * state["m"] + (1.0 - h.beta1) * g
        rotated = _rotated(parts, bases, of, back=False)
        v = h.beta2 * state["v"] + (1.0 - h.beta2) * _flat(rotated, g).square()
        normalized = _flat(_rotated(h.layout.split(m), bases, of, back=False), g) / (
            v.sqrt() + h.eps
        )
        step = _flat(_rotated(h.layout.split(normalized), bases, of, back=True), g)
        rate = h.lr * (1.0 - h.beta2**t) ** 0.5 / (1.0 - h.beta1**t)
        after = (1.0 - h.lr * h.weight_decay) * (theta - rate * step)
        if t % h.period == 0:
            seconds = h.layout.split(v)
            for index, one in enumerate(of):
                bases[index], seconds[one.tensor] = _followed(
                    gathered[index], bases[index], seconds[one.tensor], one.axis
                )
            v = _flat(seconds, g)
        return after, {
            "m": m,
            "v": v,
            "moments": moments,
            "bases": matrices.joined(bases, theta),
        }


def _rotated(
    parts: Sequence[torch.Tensor], bases: Sequence[torch.Tensor], of: Sequence[Side], *, back: bool
) -> list[torch.Tensor]:
    """Return tensors ``[R, …]`` in the coordinates of the bases, or back from them."""
    rotated = list(parts)
    for basis, one in zip(bases, of, strict=True):
        matrix = basis if back else basis.transpose(1, 2)
        rotated[one.tensor] = matrices.along(matrix, rotated[one.tensor], one.axis)
    return rotated


def _flat(parts: Sequence[torch.Tensor], like: torch.Tensor) -> torch.Tensor:
    """Return tensors ``[R, …]`` as one row for each run ``[R, P]``."""
    return torch.cat([part.reshape(len(like), -1) for part in parts], dim=1)


def _basis(matrix: torch.Tensor) -> torch.Tensor:
    """Return eigenvectors ``[R, n, n]`` of symmetric matrices, the largest eigenvalue first.

    Those of the eigenvalue zero are any basis of the null space. The triangular one is chosen: it
    depends on the null space alone, not on how rounding has turned the vectors within it.
    """
    values, vectors, finite = matrices.eigen(matrix)
    vectors = vectors.flip(2)
    size = matrix.shape[1]
    least = size * torch.finfo(matrix.dtype).eps * values.amax(dim=1, keepdim=True)
    ranks = (values > least).sum(dim=1).tolist()
    for run, rank in enumerate(ranks):
        if rank < size:
            null = vectors[run, :, rank:]
            vectors[run, :, rank:] = null @ torch.linalg.qr(null.T).Q
    return torch.where(finite, vectors, float("nan"))


def _followed(
    matrix: torch.Tensor, basis: torch.Tensor, second: torch.Tensor, axis: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the basis ``[R, n, n]`` after one power iteration, and the second moment sorted.

    Args:
        matrix: moments ``[R, n, n]``. basis: ``[R, n, n]``.
        second: second moment ``[R, …]`` in the basis. axis: its dimension, without that of runs.
    """
    product = matrix @ basis
    order = (basis * product).sum(dim=1).argsort(dim=1, descending=True, stable=True)
    followed = torch.linalg.qr(product.gather(2, order.unsqueeze(1).expand_as(product))).Q
    shape = [1] * second.dim()
    shape[0], shape[axis + 1] = order.shape
    return followed, second.gather(axis + 1, order.view(shape).expand_as(second))
