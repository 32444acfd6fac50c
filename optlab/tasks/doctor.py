"""What works on this machine, and what to do about what does not.

Each examination gives one finding. None of them changes anything, and none lets an error through:
what goes wrong is what it reports.
"""

from __future__ import annotations

import importlib.metadata
import locale
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from optlab import __version__
from optlab.core import display, paths, registry
from optlab.core.errors import OptLabError

LOW_DISK_BYTES = 200 * 2**20
"""Bytes of free space below which a long run may fill the disk."""


@dataclass(frozen=True)
class Finding:
    """One thing that was examined.

    Attributes:
        part: what. words: what was found. good: whether it is as it should be.
        advice: what to do where it is not. essential: whether OptLab cannot train without it.
    """

    part: str
    words: str
    good: bool = True
    advice: str = ""
    essential: bool = False


def examine() -> list[Finding]:
    """All findings, in the order in which they are shown."""
    examinations: tuple[Callable[[], Iterable[Finding]], ...] = (
        _versions,
        _torch,
        _window,
        _resources,
        _extensions,
        _data_folder,
        _runs,
        _locale,
    )
    found: list[Finding] = []
    for examination in examinations:
        found += examination()
    return found


def _installed(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _versions() -> Iterable[Finding]:
    yield Finding("OptLab", f"{__version__}, in {Path(__file__).resolve().parent}")
    words = f"{platform.python_version()} ({platform.python_implementation()}), {platform.system()} {platform.machine()}"
    good = sys.version_info >= (3, 11)
    yield Finding(
        "Python",
        words,
        good,
        "" if good else "OptLab needs Python 3.11 or newer; install one.",
        essential=True,
    )
    for distribution in ("numpy", "pydantic", "safetensors", "scikit-learn"):
        version = _installed(distribution)
        yield Finding(
            distribution,
            version or "not installed",
            bool(version),
            "" if version else f"pip install {distribution}",
            essential=True,
        )
    for distribution, purpose in (("pyarrow", "export to Parquet"),):
        yield Finding(
            distribution, _installed(distribution) or f"not installed; only {purpose} needs it"
        )


def _torch() -> Iterable[Finding]:
    try:
        from optlab.objective.device import available, describe

        devices = available()
    except (ImportError, OSError) as error:
        reason = " ".join(str(error).splitlines())
        yield Finding(
            "torch",
            f"cannot be loaded: {reason}",
            False,
            "Install it again: pip install --force-reinstall torch",
            essential=True,
        )
        return
    yield Finding("torch", _installed("torch"), essential=True)
    yield Finding("devices", "; ".join(f"{name} ({describe(name)})" for name in devices))
    if "cuda" not in devices and shutil.which("nvidia-smi"):
        yield Finding(
            "GPU",
            "this machine has NVIDIA's tools, but torch sees no GPU",
            False,
            "Install a CUDA build of torch that fits the driver; see the README.",
        )
    cores, policy = os.cpu_count() or 1, os.environ.get("OMP_WAIT_POLICY", "not set")
    spinning = policy.upper() == "ACTIVE"
    yield Finding(
        "threads",
        f"{cores} cores; a run uses one thread unless the experiment says otherwise; OMP_WAIT_POLICY is {policy}",
        not spinning,
        "Unset OMP_WAIT_POLICY: waiting threads that spin slow the window and other runs down."
        if spinning
        else "",
    )


def _window() -> Iterable[Finding]:
    qt, plots = _installed("PySide6-Essentials") or _installed("PySide6"), _installed("pyqtgraph")
    if not qt or not plots:
        missing = " and ".join(
            name for name, version in (("PySide6", qt), ("pyqtgraph", plots)) if not version
        )
        yield Finding(
            "window",
            f"not installed ({missing}); the commands work without it",
            False,
            "pip install 'optlab[gui]'",
        )
        return
    # 6.12.0 loses a reference to None and True in every call; before Python 3.12 these are counted,
    # and the process aborts after some hundred frames.
    aborts = qt.startswith("6.12.0") and sys.version_info < (3, 12)
    advice = (
        "PySide6 6.12.0 crashes on Python 3.11: pip install 'PySide6-Essentials<6.12', or use Python 3.12."
        if aborts
        else ""
    )
    yield Finding("window", f"Qt {qt}, pyqtgraph {plots}", not aborts, advice)
    problem = display.problem()
    if problem:
        yield Finding("display", "no window can be opened", False, f"{problem}.")
    else:
        chosen = (
            os.environ.get("QT_QPA_PLATFORM")
            or os.environ.get("WAYLAND_DISPLAY")
            or os.environ.get("DISPLAY")
            or "the system's own"
        )
        yield Finding("display", chosen)


def _resources() -> Iterable[Finding]:
    count = len(list(paths.presets().glob("*.toml")))
    advice = "" if count else "Install OptLab again: its resources did not come along."
    yield Finding(
        "resources", f"{count} presets in {paths.resources()}", count > 0, advice, essential=True
    )


def _extensions() -> Iterable[Finding]:
    """Optimizers that installed packages register; those that torch itself has and that are no
    choice are no fault of this machine.
    """
    refused = {
        name: reason
        for name, reason in registry.refused("optimizer").items()
        if not name.startswith("torch.")
    }
    for name, reason in refused.items():
        yield Finding(
            "extension",
            f"{name}: {reason}",
            False,
            "Update or remove the package, or tell its authors.",
        )


def _data_folder() -> Iterable[Finding]:
    folder = paths.home()
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        yield Finding(
            "data folder",
            f"{folder} cannot be written to",
            False,
            "Set OPTLAB_HOME to a folder you may write to.",
            essential=True,
        )
        return
    free = shutil.disk_usage(there).free
    words = (
        f"{folder}{'' if folder.exists() else ' (not created yet)'}, {free / 2**30:.1f} GiB free"
    )
    good = free >= LOW_DISK_BYTES
    yield Finding(
        "data folder",
        words,
        good,
        "" if good else "Make room, or set OPTLAB_HOME to a folder on another disk.",
    )


def _runs() -> Iterable[Finding]:
    from optlab.store import Store

    try:
        with Store.open_readonly() as store:
            records, hidden = store.runs(), store.hidden
    except OptLabError as error:
        yield Finding(
            "runs",
            str(error),
            False,
            "See the sentence before; runs can be made without storing them: optlab run … --no-store",
        )
        return
    interrupted = [record for record in records if record.status == "interrupted"]
    words = f"{len(records)} stored"
    if interrupted:
        words += f", {len(interrupted)} interrupted; go on with one: optlab run --resume {interrupted[0].id}"
    yield Finding("runs", words)
    if hidden:
        yield Finding(
            "runs",
            hidden,
            False,
            "Restore the file from a backup, or leave it: nothing else depends on that row.",
        )


def _locale() -> Iterable[Finding]:
    encoding = sys.stdout.encoding or "unknown"
    good = encoding.lower().replace("-", "") in ("utf8", "utf8sig")
    point = locale.localeconv()["decimal_point"]
    words = f"{locale.setlocale(locale.LC_CTYPE)}, output in {encoding}, decimal point '{point}'"
    yield Finding(
        "locale",
        words,
        good,
        "" if good else "Symbols such as ε show as ?; set PYTHONUTF8=1, or a UTF-8 locale.",
    )
