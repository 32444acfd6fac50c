"""Powers of a matrix and their effect on signals, gradients and recurrent networks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from optlab.core import registry
from optlab.core.fields import integer, number
from optlab.core.lazy import torch
from optlab.objective.seeding import numpy_generator
from optlab.studies.demonstrations._fits import line
from optlab.studies.demonstrations._networks import Network, descents, network, optimizer
from optlab.studies.demonstrations.base import (
    NO_PROGRESS,
    Array,
    Axis,
    Cell,
    Curve,
    Demonstration,
    DemonstrationResult,
    Plot,
    Progress,
    Scatter,
    numbers,
    stream,
    table,
)

_EXAMPLES = 32
_TINY = 1e-300


class PowersOfW(Demonstration):
    """A signal multiplied repeatedly by W grows or decays as the powers of its largest eigenvalue.

    A gradient on its way back does the same.

    W is constructed with a given spectrum: the largest absolute value is the radius, all others are
    smaller by the gap. The result of t products is compared with V diag(λ)ᵗ V⁻¹. If the
    eigenvectors are far from orthogonal, the norm can grow at first although all |λ| are below 1;
    eventually the radius decides.

    The last plot shows the same in networks that read a sequence whose target depends on its
    beginning: the norm of the gradient with respect to each input of the sequence, for a simple RNN
    whose recurrent weights have the same radius, and for an LSTM, whose cell carries the gradient
    past the recurrent weights.
    """

    name: ClassVar[str] = "powers_of_w"
    label: ClassVar[str] = "Powers of W and long-term dependencies"
    row: ClassVar[str] = "C15"
    sort_order: ClassVar[int] = 150
    rule: ClassVar[tuple[str, ...]] = (
        (
            r"W^t = \left(V\, \text{diag}(\lambda)\, V^{-1}\right)^t = V\, "
            r"\text{diag}(\lambda)^t\, "
            r"V^{-1}"
        ),
        r"\frac{\partial J}{\partial x} = \left(W^{\top}\right)^t \frac{\partial J}{\partial h_t}",
    )
    symbols: ClassVar[dict[str, str]] = {
        "λ": "eigenvalues of W",
        "V": "eigenvectors of W, in columns",
        "h_t": "the signal after t products",
    }
    source: ClassVar[str] = (
        "Notes, long-term dependencies, (8.11); S. Hochreiter (1991); Y. Bengio et al. (1994)."
    )
    note: ClassVar[str] = (
        "After 100 products a radius of 0.9 leaves about 1/38,000 of the signal, and one of 1.1 "
        "multiplies it by 14,000."
    )

    size: int = integer(
        16,
        "Size of W",
        symbol="n",
        ge=2,
        le=400,
        log=True,
        slider=(2, 64),
        help="Rows and columns of W.",
    )
    radius: float = number(
        0.9,
        "Spectral radius",
        symbol="ρ",
        gt=0.0,
        le=10.0,
        slider=(0.5, 1.5),
        help="Largest absolute value of an eigenvalue.",
    )
    gap: float = number(
        0.3,
        "Gap",
        ge=0.0,
        le=1.0,
        slider=(0.0, 0.9),
        help=(
            "Minimum distance of the other eigenvalues below the radius, as a share of the radius."
        ),
    )
    angle: float = number(
        0.5,
        "Angle",
        unit="rad",
        ge=0.0,
        le=math.pi,
        slider=(0.0, math.pi),
        help=(
            "Angle of the largest pair of eigenvalues in the complex plane; 0 for one real "
            "eigenvalue."
        ),
    )
    skew: float = number(
        1.0,
        "Skew of the eigenvectors",
        ge=1.0,
        le=1e6,
        log=True,
        slider=(1.0, 1000.0),
        help="Condition number of the eigenvectors; 1 for orthogonal ones.",
    )
    times: int = integer(
        100,
        "Products",
        symbol="t",
        ge=2,
        le=10_000,
        log=True,
        slider=(10, 500),
        help="Number of products.",
    )
    length: int = integer(
        40,
        "Length of the sequences",
        symbol="T",
        ge=4,
        le=1000,
        log=True,
        slider=(10, 200),
        help="Time steps of the sequences of the recurrent networks.",
    )
    units: int = integer(
        16,
        "Hidden units",
        ge=1,
        le=256,
        slider=(4, 64),
        help="Size of the hidden state of both networks.",
    )
    training: int = integer(
        0,
        "Training steps",
        ge=0,
        le=10_000,
        slider=(0, 500),
        help="Steps of training before the gradients are measured.",
    )

    def run(self, progress: Progress = NO_PROGRESS) -> Iterator[DemonstrationResult]:
        rng = numpy_generator(self.seed, stream("powers_of_w"))
        w, values, vectors = matrix(self.size, self.radius, self.gap, self.angle, self.skew, rng)
        start = rng.standard_normal((2, self.size))
        start /= np.linalg.norm(start, axis=1, keepdims=True)
        progress.report(0.1)
        norms, difference = powers(w, values, vectors, start[0], start[1], self.times)
        yield self._result(values, norms, difference, {}, 0.3)
        by_step: dict[str, Array] = {}
        for index, name in enumerate(("rnn", "lstm")):
            if not progress.should_continue():
                return
            made = self._recurrent(name)
            theta = made.starts(
                [self.seed], {"name": "orthogonal" if name == "rnn" else "normalized"}
            )
            if name == "rnn":
                with_radius(made, theta, self.radius)
            for taken in itertools.islice(
                descents(made.objective, made.x, made.y, theta, [optimizer("adam", lr=0.003)]),
                self.training,
            ):
                theta = taken.after
                if not progress.should_continue():
                    return
            by_step[registry.get("model", name).label] = by_time_step(made, theta)
            done = 0.3 + 0.35 * (index + 1)
            progress.report(done)
            yield self._result(values, norms, difference, by_step, min(done, 1.0))

    def _recurrent(self, name: str) -> Network:
        data = {"name": "adding_problem", "length": self.length, "size": _EXAMPLES}
        return network(data, {"name": name, "units": self.units}, {"name": "squared_error"})

    def _result(
        self, values: Array, norms: Array, difference: float, by_step: dict[str, Array], done: float
    ) -> DemonstrationResult:
        t = np.arange(len(norms), dtype=np.float64)
        late = t >= 0.5 * t[-1]
        kept = late & (norms[:, 0] > _TINY) & np.isfinite(norms[:, 0])
        rate = math.exp(line(t[kept], np.log(norms[kept, 0]))[0]) if kept.sum() > 1 else math.nan
        steps = max([len(t), *(len(one) for one in by_step.values())])
        rows: list[tuple[Cell, ...]] = []
        for step in range(steps):
            own: list[Cell] = (
                [*norms[step].tolist(), self.radius**step] if step < len(norms) else [None] * 4
            )
            rows.append(
                (
                    step,
                    *own,
                    *(float(one[step]) if step < len(one) else None for one in by_step.values()),
                )
            )
        curves = (
            Curve("signal, W multiplied", t, norms[:, 0]),
            Curve("signal, V diag(λ)ᵗ V⁻¹", t, norms[:, 1], style="predicted"),
            Curve("gradient, Wᵀ multiplied", t, norms[:, 2]),
            Curve("ρᵗ", t, self.radius**t, style="predicted"),
        )
        around = np.linspace(0.0, 2.0 * math.pi, 181)
        circle = Curve("unit circle", np.cos(around), np.sin(around), style="predicted")
        plots = [
            Plot("Signal and gradient", Axis("products t"), Axis("norm", log=True), curves),
            Plot(
                "Spectrum of W",
                Axis("real part"),
                Axis("imaginary part"),
                (circle,),
                (Scatter("eigenvalues", values.real, values.imag),),
            ),
        ]
        trend = (
            "neither decays nor grows"
            if abs(self.radius - 1.0) < 1e-9
            else "decays"
            if self.radius < 1.0
            else "grows"
        )
        sentence = (
            f"With a radius of {self.radius:g} the signal {trend}: by a factor of {rate:.4g} per "
            "product in "
        )
        sentence += f"the second half, and by {norms[-1, 0]:.3g} over "
        sentence += f"all {len(t) - 1}; products and eigenvalues agree to {difference:.1e}."
        figures = {"rate": rate, "difference": difference}
        if by_step:
            at = [
                Curve(name, np.arange(1, len(one) + 1, dtype=np.float64), np.maximum(one, _TINY))
                for name, one in by_step.items()
            ]
            plots.append(
                Plot(
                    "Gradient with respect to the input of each time step",
                    Axis("time step"),
                    Axis("norm of the gradient", log=True),
                    tuple(at),
                )
            )
            for name, one in by_step.items():
                share = float(one[0] / one[-1]) if one[-1] > 0.0 else math.nan
                figures[f"{name}: first / last"] = share
                sentence += (
                    f" In the {name}, the gradient at the first of {len(one)} time steps is "
                    f"{share:.2g} times that at the last."
                )
        headings = [
            "t",
            "signal",
            "signal by eigenvalues",
            "gradient",
            "radius to the power of t",
            *(f"{name}: gradient by the input" for name in by_step),
        ]
        return DemonstrationResult(table(headings, rows), tuple(plots), sentence, figures, done)


def matrix(
    n: int, radius: float, gap: float, angle: float, skew: float, rng: np.random.Generator
) -> tuple[Array, Array, Array]:
    """Return a real matrix ``[n, n]`` of a given spectrum.

    Also return its eigenvalues ``[n]`` and eigenvectors ``[n, n]``, both complex.

    One real eigenvalue or a conjugate pair lies at ``radius``; the others are uniform in ±1 times
    the part of it that the gap leaves.
    """
    blocks = np.diag(rng.uniform(-1.0, 1.0, n) * radius * (1.0 - gap))
    if angle in (0.0, math.pi):
        blocks[0, 0] = radius * math.cos(angle)
    else:
        c, s = radius * math.cos(angle), radius * math.sin(angle)
        blocks[:2, :2] = [[c, -s], [s, c]]
    q = [np.linalg.qr(rng.standard_normal((n, n)))[0] for _ in range(2)]
    basis = (q[0] * np.geomspace(1.0, 1.0 / skew, n)) @ q[1]
    w = basis @ blocks @ np.linalg.inv(basis)
    values, vectors = np.linalg.eig(blocks)
    return numbers(w), values, basis @ vectors


def powers(
    w: Array, values: Array, vectors: Array, x: Array, g: Array, times: int
) -> tuple[Array, float]:
    """Return norms of ``Wᵗx`` by products and by eigenvalues, and of ``(Wᵀ)ᵗg``.

    The second value is the largest relative difference between the first two norms.

    Shapes: ``w`` and ``vectors`` ``[n, n]``, ``values``, ``x`` and ``g`` ``[n]``; the norms
    ``[times + 1, 3]``.
    """
    within = np.linalg.solve(vectors, x.astype(complex))
    forward, backward, rows, apart = x, g, [], 0.0
    for t in range(times + 1):
        by_values = (vectors @ (values**t * within)).real
        sizes = [float(np.linalg.norm(vector)) for vector in (forward, by_values, backward)]
        rows.append(sizes)
        apart = max(
            apart, float(np.linalg.norm(forward - by_values)) / max(sizes[0], sizes[1], _TINY)
        )
        forward, backward = w @ forward, w.T @ backward
    return numbers(rows), apart


def with_radius(made: Network, theta: torch.Tensor, radius: float) -> None:
    """Scale the recurrent weights of an RNN in ``theta`` ``[1, P]`` to this spectral radius."""
    u = made.objective.layout.named(theta)["recurrent.weight"]
    u *= radius / float(torch.linalg.eigvals(u[0]).abs().max())


def by_time_step(made: Network, theta: torch.Tensor) -> Array:
    """Return the norm over the examples of the gradient with respect to each time step, ``[T]``."""
    x = made.x.unsqueeze(0).clone().requires_grad_()
    loss = made.objective.losses(theta, x, made.y.unsqueeze(0))
    (g,) = torch.autograd.grad(loss.sum(), x)
    return numbers(torch.linalg.vector_norm(g[0], dim=(0, 2)))
