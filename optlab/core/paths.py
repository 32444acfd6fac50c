"""Paths: the resources that ship with OptLab, and the data folder that holds the user's runs.

``OPTLAB_HOME`` overrides the data folder; OptLab writes nowhere else unless it is given a path.
"""

from __future__ import annotations

import os
from pathlib import Path

from optlab.core.errors import StoreError

_PACKAGE = Path(__file__).resolve().parents[1]


def resources() -> Path:
    """Return the folder of icons, presets and themes.

    Beside the package in a checkout, inside it in an installation.
    """
    installed = _PACKAGE / "_resources"
    return installed if installed.is_dir() else _PACKAGE.parent / "resources"


def presets() -> Path:
    """Return the folder of the experiment files that ship with OptLab."""
    return resources() / "presets"


def studies() -> Path:
    """Return the folder of the studies that ship with OptLab."""
    return resources() / "studies"


def claims() -> Path:
    """Return the folder of the claims that ship with OptLab, and of what was found of each."""
    return resources() / "claims"


def scenes() -> Path:
    """Return the folder of the scenes that ship with OptLab."""
    return resources() / "scenes"


def home() -> Path:
    """Return the data folder, without creating it."""
    if override := os.environ.get("OPTLAB_HOME"):
        return Path(override).expanduser()
    import platformdirs

    return Path(platformdirs.user_data_dir("optlab", appauthor=False))


def writable_home() -> Path:
    """Return the data folder, created if it does not exist.

    Raises:
        StoreError: the folder cannot be created or written to.
    """
    folder = home()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"The data folder {folder} cannot be created ({error.strerror}); "
            "set OPTLAB_HOME to a folder you may write to."
        ) from error
    if not os.access(folder, os.W_OK):
        raise StoreError(
            f"The data folder {folder} is not writable; "
            "set OPTLAB_HOME to a folder you may write to."
        )
    return folder
