"""What models of sequences require of their data."""

from __future__ import annotations

from optlab.core.data import DataShape
from optlab.core.errors import InvalidInput


def sequence_inputs(shape: DataShape, model: str) -> int:
    """Return the number of values of one time step of a sequence.

    Raises:
        InvalidInput: the data are not sequences.
    """
    if len(shape.inputs) == 2:
        return shape.inputs[1]
    raise InvalidInput(
        f"model.name is {model!r}, which needs sequences (steps × values), but an example of this "
        f"dataset has the shape {list(shape.inputs)}; use mlp.",
        "model.name",
    )
