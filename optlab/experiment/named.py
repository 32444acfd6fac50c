"""Experiments by name: a preset, or a file."""

from __future__ import annotations

from pathlib import Path

from optlab.core.errors import InvalidInput
from optlab.core.fields import did_you_mean
from optlab.experiment import presets
from optlab.experiment.experiment import Experiment


def load(source: str, folder: Path | None = None, *, check: bool = True) -> Experiment:
    """Return the experiment of a file, or of the preset of that name.

    Args:
        source: path or name.
        folder: that a relative path is relative to; by default the current one.
        check: see :meth:`optlab.experiment.Experiment.from_dict`.

    Raises:
        InvalidInput: there is neither, or it is not valid.
    """
    path = Path(source) if folder is None else folder / source
    known = {preset.stem: preset for preset in presets.files()}
    if source in known and not path.is_file():
        return Experiment.load(known[source], check=check)
    if path.exists() or path.suffix or Path(source).name != source:
        return Experiment.load(path, check=check)
    raise InvalidInput(
        f"'{source}' is neither a file nor a preset{did_you_mean(source, known)}; presets are: "
        f"{', '.join(known)}."
    )
