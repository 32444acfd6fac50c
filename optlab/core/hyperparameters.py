"""Hyperparameters as update rules see them: plain numbers, or columns ``[R, 1]`` where runs differ."""

from __future__ import annotations

from typing import Any


class Hyperparameters:
    """A namespace: ``h.lr``, ``h.momentum``, … and ``h.step``, the number of this step (1, 2, …).

    A number is a Python float where all runs share it (then torch computes with it in double
    precision), otherwise a column of shape ``[R, 1]`` in the precision of the run. Switches and
    choices are always plain values.
    """

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"this rule has no hyperparameter {name!r}; it has: {', '.join(self.__dict__)}"
        )

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__[name] = value

    def __repr__(self) -> str:
        return f"Hyperparameters({', '.join(f'{key}={value!r}' for key, value in self.__dict__.items())})"
