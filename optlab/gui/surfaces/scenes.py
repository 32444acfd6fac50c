"""Scenes: figures of the notes as a surface, methods and a number of steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optlab.catalogue.surfaces.base import Surface
from optlab.core import registry
from optlab.tasks.surfaces import Method

Section = Mapping[str, Any]


@dataclass(frozen=True)
class Scene:
    """A setup of the surface window.

    Attributes:
        title: name in the menu. text: what the scene shows. surface: section of the surface.
        methods: methods of the race. steps: number of steps. noise: σ of each component of the
            gradient.
    """

    title: str
    text: str
    surface: Section
    methods: tuple[Method, ...]
    steps: int
    noise: float = 0.0


def scenes() -> list[Scene]:
    """Return all scenes, in the order of the notes."""
    cliff, canyon = _surface("cliff"), _surface("quadratic")
    above, below = (start.point for start in cliff.starts()[:2])
    clip = {"name": "norm", "threshold": cliff.threshold}
    saddle = (0.9, 0.05)
    return [
        Scene(
            "Following the derivative downhill (Fig 4.1)",
            "The slope gives direction and steepness of the descent; steps shorten as it flattens.",
            {"name": "parabola"},
            (_method("Gradient descent", (-1.8,), "sgd", lr=0.15, color=0),),
            40,
        ),
        Scene(
            "The saddle (Fig 4.5)",
            "Gradient descent escapes along the direction of negative curvature, Newton's method "
            "jumps into the saddle, and saddle-free Newton is repelled by it.",
            {"name": "saddle"},
            (
                _method("Gradient descent", saddle, "sgd", lr=0.1, color=0),
                _method("Newton", saddle, "newton", damping=0.0, color=1),
                _method("Saddle-free Newton", saddle, "saddle_free_newton", lr=0.5, color=2),
            ),
            25,
        ),
        Scene(
            "The cliff, from above and from below (Fig 8.3)",
            "At the wall, one step of gradient descent throws the parameters far away. Clipping by "
            "norm keeps the direction and bounds the step.",
            {"name": "cliff"},
            (
                _method("From above", above, "sgd", lr=cliff.lr, color=1),
                _method("From above, clipped", above, "sgd", lr=cliff.lr, clipping=clip, color=0),
                _method("From below", below, "sgd", lr=cliff.lr, color=3),
                _method("From below, clipped", below, "sgd", lr=cliff.lr, clipping=clip, color=2),
            ),
            60,
        ),
        Scene(
            "The cliff of a recurrent unit",
            "A recurrent unit that feeds itself fifty times has cliffs of its own. With clipping, "
            "the same start reaches low values.",
            {"name": "recurrent_cliff"},
            (
                _method(
                    "Gradient descent",
                    _surface("recurrent_cliff").starts()[0].point,
                    "sgd",
                    lr=2.0,
                    color=1,
                ),
                _method(
                    "Clipped",
                    _surface("recurrent_cliff").starts()[0].point,
                    "sgd",
                    lr=2.0,
                    clipping={"name": "norm", "threshold": 0.05},
                    color=0,
                ),
            ),
            200,
        ),
        Scene(
            "The mountain: local moves, wrong global structure (Fig 8.4)",
            "On one side, every step downhill leads away from the low region on the other: the "
            "start decides. Off the axis, a descent gets around on a path of more than twice the "
            "distance.",
            {"name": "mountain"},
            (
                _method("On the wrong side", (-0.5, 0.0), "sgd", lr=0.5, color=1),
                _method("On the wrong side, off the axis", (-0.5, 0.1), "sgd", lr=0.5, color=2),
                _method("On the right side", (0.5, 0.1), "sgd", lr=0.5, color=0),
            ),
            900,
        ),
        Scene(
            "The plateau",
            "Where the gradient is nearly zero, gradient descent and momentum hardly move. Adam "
            "divides by the size of the gradient and crosses the plateau. RMSProp needs five times "
            "as many steps at the same rate: the constant δ under its root is larger than the "
            "squared gradient.",
            {"name": "plateau"},
            (
                _method(
                    "Gradient descent",
                    _surface("plateau").starts()[0].point,
                    "sgd",
                    lr=_surface("plateau").lr,
                    color=0,
                ),
                _method(
                    "Momentum",
                    _surface("plateau").starts()[0].point,
                    "momentum",
                    lr=_surface("plateau").lr,
                    momentum=0.9,
                    color=1,
                ),
                _method(
                    "RMSProp", _surface("plateau").starts()[0].point, "rmsprop", lr=0.05, color=2
                ),
                _method("Adam", _surface("plateau").starts()[0].point, "adam", lr=0.05, color=3),
            ),
            400,
        ),
        Scene(
            "The canyon: momentum against zigzag (Fig 8.5)",
            "Gradient descent oscillates between the walls; momentum accumulates the component "
            "that successive gradients share.",
            {"name": "quadratic"},
            (
                _method("Gradient descent", canyon.starts()[0].point, "sgd", lr=canyon.lr, color=1),
                _method(
                    "Momentum",
                    canyon.starts()[0].point,
                    "momentum",
                    lr=canyon.lr / 5,
                    momentum=0.8,
                    color=0,
                ),
                _method(
                    "Nesterov",
                    canyon.starts()[0].point,
                    "nesterov",
                    lr=canyon.lr / 5,
                    momentum=0.8,
                    color=2,
                ),
            ),
            60,
        ),
        Scene(
            "A bent valley: first against second order (Rosenbrock)",
            "All methods reach the valley at once, but first-order ones follow it slowly; "
            "second-order methods use its curvature.",
            {"name": "rosenbrock"},
            (
                _method(
                    "Gradient descent",
                    _surface("rosenbrock").starts()[0].point,
                    "sgd",
                    lr=_surface("rosenbrock").lr,
                    color=1,
                ),
                _method(
                    "Momentum",
                    _surface("rosenbrock").starts()[0].point,
                    "momentum",
                    lr=_surface("rosenbrock").lr / 4,
                    momentum=0.9,
                    color=0,
                ),
                _method("Adam", _surface("rosenbrock").starts()[0].point, "adam", lr=0.05, color=2),
                _method(
                    "Newton",
                    _surface("rosenbrock").starts()[0].point,
                    "newton",
                    damping=0.0,
                    color=3,
                ),
                _method("BFGS", _surface("rosenbrock").starts()[0].point, "bfgs", color=4),
            ),
            200,
        ),
        Scene(
            "Many minima, and noise",
            "Same start and rate, noisy gradients: the noise decides which valley a run ends in. "
            "“Basins” colors the plane by the valley that a start leads to.",
            {"name": "himmelblau"},
            (
                _method("Gradient descent", (0.0, 0.0), "sgd", lr=0.01, color=0),
                _method("Momentum", (0.0, 0.0), "momentum", lr=0.005, momentum=0.9, color=1),
            ),
            120,
            2.0,
        ),
    ]


def default_methods(surface: Surface, start: Sequence[float]) -> tuple[Method, ...]:
    """Return gradient descent and momentum with learning rates that suit the surface."""
    return (
        _method("Gradient descent", start, "sgd", lr=surface.lr, color=0),
        _method("Momentum", start, "momentum", lr=surface.lr / 4, momentum=0.9, color=1),
    )


def _surface(name: str) -> Surface:
    return registry.build(Surface, {"name": name})


def _method(
    label: str,
    start: Sequence[float],
    optimizer: str,
    *,
    clipping: Section | None = None,
    color: int,
    **values: float,
) -> Method:
    return Method(
        label,
        tuple(start),
        {"name": optimizer, **values},
        {"name": "constant"},
        clipping or {"name": "none"},
        color,
    )
