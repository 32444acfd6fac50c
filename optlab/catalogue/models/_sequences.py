"""What models of sequences ask of their data."""

from __future__ import annotations

from optlab.core.data import DataShape
from optlab.core.errors import InvalidInput


def sequence_inputs(shape: DataShape, model: str) -> int:
    """Values of one time step of a sequence.

    Raises:
        InvalidInput: the data are no sequences.
    """
    if len(shape.inputs) == 2:
        return shape.inputs[1]
    raise InvalidInput(
        f"model.name is {model!r}, which needs sequences (steps × values), but an example of this dataset has the shape {list(shape.inputs)}; use mlp.",
        "model.name",
    )
