"""Write the trajectories of optimizers of other packages, with which the rules are compared.

The tests read the files beside this one and need none of the packages. To make them again::

    pip install --target LIBRARIES pytorch-optimizer schedulefree prodigyopt optax jax
    PYTHONPATH=LIBRARIES python make_references.py [NAME]…

Everything is computed in float64. The problem needs no random numbers: see ``gradient``.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import json
import operator
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).parent
SHAPES = [[3, 4], [4]]
"""Shapes of the parameters: a matrix and a vector, 16 values in this order."""
STEPS = 60
KEPT = [1, 2, 3, 4, 5, 10, 11, 20, 30, 40, 50, 60]
"""Steps after which the parameters are written."""
VALUES = torch.arange(16, dtype=torch.float64)
CURVATURE = 0.2 + 0.1 * VALUES
START = 1.5 * torch.cos(1.3 * VALUES + 0.4)


def gradient(theta: torch.Tensor, step: int) -> torch.Tensor:
    """Return the gradient ``[16]`` at ``theta`` on the "batch" of a step (1, 2, …)."""
    return CURVATURE * theta + 0.1 * theta**3 + 0.3 * torch.cos(1.7 * step + 0.9 * VALUES)


def value(theta: torch.Tensor, step: int) -> torch.Tensor:
    """Return the objective, whose gradient is :func:`gradient`; it is at least 0."""
    batch = 0.3 * torch.cos(1.7 * step + 0.9 * VALUES)
    return (0.5 * CURVATURE * theta**2 + 0.025 * theta**4 + batch * theta + 0.3).sum()


def parameters() -> list[torch.nn.Parameter]:
    sizes = [torch.Size(shape).numel() for shape in SHAPES]
    return [
        torch.nn.Parameter(part.clone().reshape(shape))
        for part, shape in zip(START.split(sizes), SHAPES, strict=True)
    ]


def flat(params: list[torch.nn.Parameter]) -> torch.Tensor:
    return torch.cat([p.detach().reshape(-1) for p in params])


def set_gradients(params: list[torch.nn.Parameter], step: int) -> None:
    g = gradient(flat(params), step).split([p.numel() for p in params])
    for p, part in zip(params, g, strict=True):
        p.grad = part.clone().reshape(p.shape)


Reported = Callable[[Any, list[torch.nn.Parameter]], torch.Tensor]
Kept = list[list[float]]
MAKERS: dict[str, Callable[[], None]] = {}


def trajectory(
    make: Callable[[list[torch.nn.Parameter]], Any],
    reported: Reported = lambda optimizer, params: flat(params),
) -> Kept:
    """Return the parameters after the kept steps of a torch optimizer."""
    params = parameters()
    optimizer = make(params)
    kept = []
    for step in range(1, STEPS + 1):
        set_gradients(params, step)
        optimizer.step()
        if step in KEPT:
            kept.append(reported(optimizer, params).tolist())
    return kept


@contextlib.contextmanager
def in_double() -> Iterator[None]:
    """Make a package that converts intermediate results to float32 keep them in float64."""
    single, method = torch.float32, torch.Tensor.float
    torch.float32, torch.Tensor.float = torch.float64, torch.Tensor.double
    try:
        yield
    finally:
        torch.float32, torch.Tensor.float = single, method


def reference(
    package: str, cls: str, **fields: Any
) -> Callable[[Callable[[Any, dict[str, Any]], Kept]], None]:
    """Register a reference: a function of the class and of the fields of the rule."""

    def register(make: Callable[[Any, dict[str, Any]], Kept]) -> None:
        def written() -> None:
            module = importlib.import_module(package.replace("-", "_"))
            with in_double():
                kept = make(operator.attrgetter(cls)(module), fields)
            document = {
                "package": package,
                "version": importlib.metadata.version(package),
                "class": cls,
                "settings": fields,
                "shapes": SHAPES,
                "steps": KEPT,
                "theta": kept,
            }
            path = HERE / f"{make.__name__}.json"
            path.write_text(json.dumps(document) + "\n", encoding="utf-8")

        MAKERS[make.__name__] = written

    return register


# --- one function a rule --------------------------------------------------------------------------


def _iterate(optimizer: Any, params: list[torch.nn.Parameter]) -> torch.Tensor:
    """Return x of a schedule-free optimizer."""
    optimizer.eval()
    kept = flat(params)
    optimizer.train()
    return kept


@reference("schedulefree", "SGDScheduleFreeReference", lr=0.3, momentum=0.8)
def schedule_free_sgd(cls: Any, h: dict[str, Any]) -> Kept:
    return trajectory(lambda p: cls(p, **h), _iterate)


@reference(
    "schedulefree",
    "AdamWScheduleFreeReference",
    lr=0.05,
    beta1=0.8,
    beta2=0.95,
    eps=1e-6,
    weight_decay=0.1,
)
def schedule_free_adamw(cls: Any, h: dict[str, Any]) -> Kept:
    def make(p: list[torch.nn.Parameter]) -> Any:
        optimizer = cls(
            p,
            lr=h["lr"],
            betas=(h["beta1"], h["beta2"]),
            eps=h["eps"],
            weight_decay=h["weight_decay"],
        )
        optimizer.train()
        return optimizer

    return trajectory(make, _iterate)


@reference(
    "pytorch-optimizer",
    "AdEMAMix",
    lr=0.02,
    beta1=0.8,
    beta2=0.95,
    beta3=0.99,
    alpha=4.0,
    warmup=40,
    eps=1e-6,
    weight_decay=0.1,
)
def ademamix(cls: Any, h: dict[str, Any]) -> Kept:
    return trajectory(
        lambda p: cls(
            p,
            lr=h["lr"],
            betas=(h["beta1"], h["beta2"], h["beta3"]),
            alpha=h["alpha"],
            t_alpha_beta3=float(h["warmup"]),
            weight_decouple=True,
            eps=h["eps"],
            weight_decay=h["weight_decay"],
            foreach=False,
        )
    )


@reference(
    "pytorch-optimizer",
    "Adan",
    lr=0.02,
    beta1=0.9,
    beta2=0.8,
    beta3=0.95,
    eps=1e-6,
    weight_decay=0.1,
)
def adan(cls: Any, h: dict[str, Any]) -> Kept:
    return trajectory(
        lambda p: cls(
            p,
            lr=h["lr"],
            betas=(h["beta1"], h["beta2"], h["beta3"]),
            eps=h["eps"],
            weight_decay=h["weight_decay"],
            max_grad_norm=0.0,
            foreach=False,
        )
    )


def _evaluated(params: Any, gradients: Any, step: int) -> dict[str, Any]:
    """Return the value, and the objective as a function, as line searches of optax want them."""
    import jax.numpy

    numbers = jax.numpy.asarray(VALUES.numpy())
    curvature = jax.numpy.asarray(CURVATURE.numpy())

    def value_fn(at: Any) -> Any:
        theta = jax.numpy.concatenate([part.reshape(-1) for part in at])
        batch = 0.3 * jax.numpy.cos(1.7 * step + 0.9 * numbers)
        terms = 0.5 * curvature * theta**2 + 0.025 * theta**4 + batch * theta + 0.3
        return terms.sum()

    return {"value": value_fn(params), "grad": gradients, "value_fn": value_fn}


def optax_trajectory(transform: Any, by_value: bool = False) -> Kept:
    """Return the parameters after the kept steps of a gradient transformation of optax.

    Args:
        transform: the transformation. by_value: whether it is given the value of the objective.
    """
    import jax
    import jax.numpy
    import optax

    jax.config.update("jax_enable_x64", True)
    params = [jax.numpy.asarray(p.detach().numpy()) for p in parameters()]
    state = transform.init(params)
    kept = []
    for step in range(1, STEPS + 1):
        assert params[0].dtype == "float64"
        theta = torch.cat(
            [torch.tensor(p.tolist(), dtype=torch.float64).reshape(-1) for p in params]
        )
        g = gradient(theta, step).split([p.size for p in params])
        gradients = [
            jax.numpy.asarray(part.numpy().reshape(p.shape))
            for part, p in zip(g, params, strict=True)
        ]
        more = _evaluated(params, gradients, step) if by_value else {}
        updates, state = transform.update(gradients, state, params, **more)
        params = optax.apply_updates(params, updates)
        if step in KEPT:
            kept.append([float(x) for p in params for x in p.reshape(-1)])
    return kept


@reference("optax", "lamb", lr=0.05, beta1=0.8, beta2=0.95, eps=1e-6, weight_decay=0.1)
def lamb(make: Any, h: dict[str, Any]) -> Kept:
    return optax_trajectory(
        make(h["lr"], b1=h["beta1"], b2=h["beta2"], eps=h["eps"], weight_decay=h["weight_decay"])
    )


@reference(
    "pytorch-optimizer",
    "AdEMAMix",
    lr=0.05,
    beta1=0.8,
    beta2=0.95,
    eps=1e-6,
    weight_decay=0.1,
)
def cautious_adamw(cls: Any, h: dict[str, Any]) -> Kept:
    """Without a slow average AdEMAMix is AdamW, and the package knows a cautious form of it."""
    return trajectory(
        lambda p: cls(
            p,
            lr=h["lr"],
            betas=(h["beta1"], h["beta2"], 0.9999),
            alpha=0.0,
            eps=h["eps"],
            weight_decay=h["weight_decay"],
            weight_decouple=True,
            cautious=True,
            foreach=False,
        )
    )


@reference("pytorch-optimizer", "Lookahead", lr=0.1, before="adam", period=7, share=0.6)
def lookahead(cls: Any, h: dict[str, Any]) -> Kept:
    return trajectory(
        lambda p: cls(torch.optim.Adam(p, lr=h["lr"]), k=h["period"], alpha=h["share"])
    )


def _sharp(cls: Any, h: dict[str, Any]) -> Kept:
    params = parameters()
    optimizer = cls(
        params,
        torch.optim.SGD,
        lr=h["lr"],
        momentum=h["momentum"],
        rho=h["rho"],
        adaptive=h["adaptive"],
    )
    kept = []
    for step in range(1, STEPS + 1):
        set_gradients(params, step)
        optimizer.first_step()
        set_gradients(params, step)
        optimizer.second_step()
        if step in KEPT:
            kept.append(flat(params).tolist())
    return kept


@reference("pytorch-optimizer", "SAM", lr=0.05, momentum=0.8, rho=0.7, adaptive=False)
def sam(cls: Any, h: dict[str, Any]) -> Kept:
    return _sharp(cls, h)


@reference("pytorch-optimizer", "SAM", lr=0.05, momentum=0.8, rho=0.7, adaptive=True)
def sam_adaptive(cls: Any, h: dict[str, Any]) -> Kept:
    return _sharp(cls, h)


def _prodigy(cls: Any, h: dict[str, Any]) -> Kept:
    return trajectory(
        lambda p: cls(
            p,
            lr=h["lr"],
            betas=(h["beta1"], h["beta2"]),
            eps=h["eps"],
            weight_decay=h["weight_decay"],
            d0=h["d0"],
            d_coef=h["d_factor"],
            use_bias_correction=h["correct_bias"],
            safeguard_warmup=h["safe_warmup"],
        )
    )


_PRODIGY = dict(lr=0.8, beta1=0.8, beta2=0.95, eps=1e-6, weight_decay=0.1, d0=1e-3, d_factor=0.7)


@reference("prodigyopt", "Prodigy", **_PRODIGY, correct_bias=False, safe_warmup=False)
def prodigy(cls: Any, h: dict[str, Any]) -> Kept:
    return _prodigy(cls, h)


@reference("prodigyopt", "Prodigy", **_PRODIGY, correct_bias=True, safe_warmup=True)
def prodigy_safe(cls: Any, h: dict[str, Any]) -> Kept:
    return _prodigy(cls, h)


@reference(
    "pytorch-optimizer",
    "SophiaH",
    lr=0.05,
    beta1=0.8,
    beta2=0.9,
    gamma=0.4,
    eps=1e-12,
    weight_decay=0.1,
    period=7,
    draws="signs",
)
def sophia(cls: Any, h: dict[str, Any]) -> Kept:
    """With random signs the estimate is exact, because the Hessian is diagonal."""
    params = parameters()
    optimizer = cls(
        params,
        lr=h["lr"] / h["gamma"],
        betas=(h["beta1"], h["beta2"]),
        p=h["gamma"],
        update_period=h["period"],
        hessian_distribution="rademacher",
        eps=h["eps"] / h["gamma"],
        weight_decay=h["weight_decay"] * h["gamma"],
        foreach=False,
    )
    kept = []
    for step in range(1, STEPS + 1):
        optimizer.zero_grad()
        theta = torch.cat([p.reshape(-1) for p in params])
        value(theta, step).backward(create_graph=True)
        optimizer.step()
        if step in KEPT:
            kept.append(flat(params).tolist())
    return kept


@reference("pytorch-optimizer", "Shampoo", lr=0.3, eps=1e-4)
def shampoo(cls: Any, h: dict[str, Any]) -> Kept:
    return trajectory(lambda p: cls(p, lr=h["lr"], matrix_eps=h["eps"]))


@reference(
    "torch",
    "optim.Adafactor",
    lr=0.3,
    decay_power=-0.7,
    least_scale=0.02,
    clip=1.2,
    weight_decay=0.1,
)
def adafactor(cls: Any, h: dict[str, Any]) -> Kept:
    return trajectory(
        lambda p: cls(
            p,
            lr=h["lr"],
            beta2_decay=h["decay_power"],
            eps=(None, h["least_scale"]),
            d=h["clip"],
            weight_decay=h["weight_decay"],
            foreach=False,
        )
    )


@reference("optax", "polyak_sgd", lr=0.4, factor=0.9, minimum=4.6)
def polyak_step(make: Any, h: dict[str, Any]) -> Kept:
    """The gradient of optax is scaled before its norm is taken, and after the minimum."""
    transform = make(
        max_learning_rate=h["lr"] / h["factor"],
        scaling=h["factor"],
        f_min=h["minimum"],
        eps=0.0,
    )
    return optax_trajectory(transform, by_value=True)


@reference(
    "optax",
    "scale_by_backtracking_linesearch",
    lr=1.4,
    decrease=0.55,
    shrink=0.7,
    grow=1.5,
    trials=30,
)
def sgd_line_search(make: Any, h: dict[str, Any]) -> Kept:
    import optax

    search = make(
        max_backtracking_steps=h["trials"],
        slope_rtol=h["decrease"],
        decrease_factor=h["shrink"],
        increase_factor=h["grow"],
        max_learning_rate=h["lr"],
    )
    return optax_trajectory(optax.chain(optax.sgd(1.0), search), by_value=True)


@reference(
    "pytorch-optimizer",
    "SOAP",
    lr=0.05,
    beta1=0.8,
    beta2=0.9,
    eps=1e-6,
    weight_decay=0.1,
    period=7,
)
def soap(cls: Any, h: dict[str, Any]) -> Kept:
    return trajectory(
        lambda p: cls(
            p,
            lr=h["lr"],
            betas=(h["beta1"], h["beta2"]),
            eps=h["eps"],
            weight_decay=h["weight_decay"],
            precondition_frequency=h["period"],
        )
    )


if __name__ == "__main__":
    for name in sys.argv[1:] or MAKERS:
        MAKERS[name]()
