"""The scenes of the surface window: the races among the scenes (:mod:`optlab.tasks.scenes`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optlab.catalogue.surfaces.base import Surface
from optlab.core.errors import InvalidInput
from optlab.tasks.scenes import shipped
from optlab.tasks.scenes.reading import load
from optlab.tasks.scenes.scene import RaceScene
from optlab.tasks.scenes.tables import tables_of
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
    """Return the scenes that are races, in order.

    What is wrong with a file that is left out, ``optlab list scenes`` says.
    """
    found: list[Scene] = []
    for listed in shipped.scenes():
        try:
            if listed.problem or "race" not in tables_of(listed.path):
                continue
            scene = load(listed.path, check=False)
        except InvalidInput:
            continue
        if isinstance(race := scene.content, RaceScene):
            title = f"{scene.title} (Fig {scene.figure})" if scene.figure else scene.title
            found.append(
                Scene(title, scene.text, race.surface, race.methods, race.steps, race.noise)
            )
    return found


def first_scene() -> Scene | None:
    """Return the scene that the window shows first: that of the cliff, or any; None for none."""
    found = scenes()
    return next((one for one in found if one.surface.get("name") == "cliff"), (*found, None)[0])


def default_methods(surface: Surface, start: Sequence[float]) -> tuple[Method, ...]:
    """Return gradient descent and momentum with learning rates that suit the surface."""
    return (
        _method("Gradient descent", start, "sgd", lr=surface.lr, color=0),
        _method("Momentum", start, "momentum", lr=surface.lr / 4, momentum=0.9, color=1),
    )


def _method(
    label: str, start: Sequence[float], optimizer: str, *, color: int, **values: float
) -> Method:
    return Method(
        label,
        tuple(start),
        {"name": optimizer, **values},
        {"name": "constant"},
        {"name": "none"},
        color,
    )
