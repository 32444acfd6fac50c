"""Hyperparameters as update rules get them: numbers, or columns ``[R, 1]`` where runs differ."""

from __future__ import annotations

from typing import Any


class Hyperparameters:
    """A namespace: ``h.lr``, ``h.momentum``, … and ``h.step``, the number of this step (1, 2, …).

    A number that all runs share is a Python float, with which torch computes in double precision;
    otherwise it is a column of shape ``[R, 1]`` in the precision of the run. Flags and choices are
    always plain values.
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
        values = ", ".join(f"{key}={value!r}" for key, value in self.__dict__.items())
        return f"Hyperparameters({values})"
