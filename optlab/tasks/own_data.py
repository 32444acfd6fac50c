"""An experiment that trains on a data file of the user's, from what its first rows suggest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from optlab.catalogue.datasets.base import Dataset
from optlab.core import registry
from optlab.core.errors import InvalidInput
from optlab.core.fields import shown
from optlab.outside.datafiles.preview import COMPONENTS, Preview, kind_of, preview

SUFFIXES = frozenset({".csv", ".tsv", ".npz", ".parquet", ".feather", ".arrow"})
"""Ends of the names of files that are data and no experiments, those that are refused included."""
MODEL = "mlp"
"""The model that is trained where none is chosen."""


def is_data(source: str) -> bool:
    """Return whether a path names a data file rather than an experiment."""
    path = Path(source).expanduser()
    return path.suffix.lower() in SUFFIXES and path.is_file()


def tables_of(seen: Preview) -> dict[str, Any]:
    """Return the tables of an experiment on a file as it was seen."""
    return {
        "title": Path(seen.path).name[:200],
        "dataset": seen.section(),
        "model": {"name": MODEL},
    }


def balanced_loss(dataset: Dataset) -> dict[str, Any]:
    """Return a ``[loss]`` section in which all classes of the training part count the same.

    The weight of a class is n / (K · n_k) for n_k of n examples in one of K classes; the mean
    weight of an example is 1.

    Raises:
        InvalidInput: the targets are no classes, or the training part lacks one of them.
    """
    if dataset.shape().task != "classes":
        raise InvalidInput(
            "Class weights need classes, but the target is a real number; leave them out, or set "
            "dataset.task to classes.",
            "loss.class_weights",
        )
    data = dataset.load()
    counts = np.bincount(data.training.y, minlength=data.shape.outputs)
    if not counts.all():
        name = data.class_names[int(counts.argmin())]
        raise InvalidInput(
            f"The training part has no example of class {shown(name)}, so it has no weight; make "
            "the training part larger (dataset.validation, dataset.test).",
            "loss.class_weights",
        )
    weights = len(data.training) / (len(counts) * counts)
    return {
        "name": "weighted_cross_entropy",
        "class_weights": [float(f"{weight:.6g}") for weight in weights],
    }


def seen_with(source: str, changes: Mapping[str, str]) -> Preview:
    """Look at a data file with changes to its ``[dataset]`` section.

    Args:
        source: path of the file.
        changes: dotted path → text; those of other sections, and those that are not valid, are
            left to whoever applies them.

    Raises:
        InvalidInput: the file cannot be used.
    """
    path = Path(source).expanduser()
    declared = {
        field.name: field for field in registry.get("dataset", COMPONENTS[kind_of(path)]).fields()
    }
    choices: dict[str, Any] = {}
    for place, text in changes.items():
        section, _, key = place.rpartition(".")
        if section == "dataset" and key in declared and key != "path":
            try:
                value = declared[key].parse(text)
            except (ValueError, KeyError, OverflowError):
                continue
            choices[key] = list(value) if isinstance(value, tuple) else value
    seen = preview(path, **choices)
    if seen.problem:
        raise InvalidInput(seen.problem, "dataset.path")
    return seen
