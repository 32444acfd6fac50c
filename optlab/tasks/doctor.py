"""The environment check: what works on this machine, and how to fix what does not.

The checks change nothing. An error within a check becomes one of its findings.
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

import optlab
from optlab import __version__
from optlab.core import display, paths, registry
from optlab.core.errors import OptLabError
from optlab.core.logging import log_file
from optlab.numerics.compiled.compiler import NotCompiled, compiler

LOW_DISK_BYTES = 200 * 2**20
"""Bytes of free space below which a long run may fill the disk."""


@dataclass(frozen=True)
class Finding:
    """The state of one part of the environment.

    Attributes:
        part: name of the part.
        words: its state, as text.
        good: whether it works.
        advice: what to do where it does not work.
        essential: whether OptLab cannot train without it.
    """

    part: str
    words: str
    good: bool = True
    advice: str = ""
    essential: bool = False


def examine() -> list[Finding]:
    """Run all checks and return the findings, in the order in which they are shown."""
    checks: tuple[Callable[[], Iterable[Finding]], ...] = (
        _versions,
        _torch,
        _compiler,
        _window,
        _resources,
        _extensions,
        _data_folder,
        _runs,
        _locale,
    )
    return [finding for check in checks for finding in check()]


def _installed(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _versions() -> Iterable[Finding]:
    yield Finding("OptLab", f"{__version__}, in {Path(optlab.__file__).resolve().parent}")
    state = f"{platform.python_version()} ({platform.python_implementation()}), {platform.system()} {platform.machine()}"
    good = sys.version_info >= (3, 11)
    yield Finding(
        "Python",
        state,
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
    for distribution, purpose in (
        ("pyarrow", "export to Parquet, and fast reading of tables,"),
        ("distributed", "a cluster (pip install 'optlab[cluster]')"),
    ):
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
            "this machine has NVIDIA's tools, but torch finds no GPU",
            False,
            "Install a CUDA build of torch that matches the driver; see the README.",
        )
    cores, policy = os.cpu_count() or 1, os.environ.get("OMP_WAIT_POLICY", "not set")
    spinning = policy.upper() == "ACTIVE"
    yield Finding(
        "threads",
        f"{cores} cores; a run uses one thread unless the experiment sets another number; "
        f"OMP_WAIT_POLICY is {policy}",
        not spinning,
        "Unset OMP_WAIT_POLICY: spinning threads slow down the window and other runs."
        if spinning
        else "",
    )


def _compiler() -> Iterable[Finding]:
    try:
        found = shutil.which(compiler()[0]) or compiler()[0]
    except NotCompiled as error:
        found = f"{error} Only compiled steps and fused optimizers need it"
    yield Finding("C++ compiler", found)


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
    # and the process aborts after a few hundred frames.
    aborts = qt.startswith("6.12.0") and sys.version_info < (3, 12)
    advice = (
        "PySide6 6.12.0 crashes on Python 3.11: pip install 'PySide6-Essentials<6.12', "
        "or use Python 3.12."
        if aborts
        else ""
    )
    yield Finding("window", f"Qt {qt}, pyqtgraph {plots}", not aborts, advice)
    problem = display.problem()
    if problem:
        yield Finding("display", "a window cannot be opened", False, f"{problem}.")
    else:
        chosen = (
            os.environ.get("QT_QPA_PLATFORM")
            or os.environ.get("WAYLAND_DISPLAY")
            or os.environ.get("DISPLAY")
            or "the system's default"
        )
        yield Finding("display", chosen)


def _resources() -> Iterable[Finding]:
    count = len(list(paths.presets().glob("*.toml")))
    advice = "" if count else "Install OptLab again: its resource files are missing."
    yield Finding(
        "resources", f"{count} presets in {paths.resources()}", count > 0, advice, essential=True
    )


def _extensions() -> Iterable[Finding]:
    """Check the optimizers that installed packages register, and the user's own models.

    Optimizers of torch that OptLab does not offer are not a problem of this machine.
    """
    refused = {
        name: reason
        for kind in registry.kinds()
        for name, reason in registry.refused(kind).items()
        if not name.startswith("torch.")
    }
    for name, reason in refused.items():
        yield Finding(
            "extension",
            f"{name}: {reason}",
            False,
            "Update or remove the package, or report it to its authors; register a model of your own"
            " again.",
        )


def _data_folder() -> Iterable[Finding]:
    folder = paths.home()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        yield Finding(
            "data folder",
            f"{folder} cannot be written to",
            False,
            "Set OPTLAB_HOME to a folder that you may write to.",
            essential=True,
        )
        return
    free = shutil.disk_usage(existing).free
    state = (
        f"{folder}{'' if folder.exists() else ' (not created yet)'}, {free / 2**30:.1f} GiB free"
    )
    good = free >= LOW_DISK_BYTES
    yield Finding(
        "data folder",
        state,
        good,
        "" if good else "Make room, or set OPTLAB_HOME to a folder on another disk.",
    )
    log = log_file()
    yield Finding("log", f"{log}{'' if log.exists() else ' (nothing logged yet)'}")


def _runs() -> Iterable[Finding]:
    from optlab.store import Store

    try:
        with Store.open_readonly() as store:
            records, hidden, notice = store.runs(), store.hidden, store.notice
    except OptLabError as error:
        yield Finding(
            "runs",
            str(error),
            False,
            "Fix this first; until then, train without storing: optlab run … --no-store",
        )
        return
    interrupted = [record for record in records if record.status == "interrupted"]
    state = f"{len(records)} stored"
    if interrupted:
        state += (
            f", {len(interrupted)} interrupted; "
            f"resume one with: optlab run --resume {interrupted[0].id}"
        )
    yield Finding("runs", state)
    if notice:
        yield Finding(
            "runs",
            notice,
            False,
            "Record a run, or restore the file from a backup.",
        )
    if hidden:
        yield Finding(
            "runs",
            hidden,
            False,
            "Restore the file from a backup, or ignore it: nothing else depends on that row.",
        )


def _locale() -> Iterable[Finding]:
    encoding = sys.stdout.encoding or "unknown"
    good = encoding.lower().replace("-", "") in ("utf8", "utf8sig")
    point = locale.localeconv()["decimal_point"]
    state = f"{locale.setlocale(locale.LC_CTYPE)}, output in {encoding}, decimal point '{point}'"
    yield Finding(
        "locale",
        state,
        good,
        "" if good else "Symbols such as ε show as ?; set PYTHONUTF8=1, or a UTF-8 locale.",
    )
