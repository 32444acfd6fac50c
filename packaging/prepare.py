"""Prepares a checkout: from a bare machine to a virtual environment in which ``optlab`` runs.

The organizing idea: look first, act only where something is missing, and say in one sentence what a
person has to do where this script may not. In order: the interpreter, the system libraries that Qt
loads, the virtual environment, torch in the build that was asked for, OptLab and the rest. A second
call finds its own note in the environment and is done in a moment.

Standard library only, and readable by an old Python, so that it gets as far as being reported that it
is too old.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 11)
NOTE = "optlab-prepared.json"

LIBRARIES = {
    # What Qt needs to load at all.
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libX11.so.6": "libx11-6",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libfreetype.so.6": "libfreetype6",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libxkbcommon.so.0": "libxkbcommon0",
    # What it needs besides to show a window on an X screen, real or virtual.
    "libX11-xcb.so.1": "libx11-xcb1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxcb.so.1": "libxcb1",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-glx.so.0": "libxcb-glx0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render.so.0": "libxcb-render0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-shm.so.0": "libxcb-shm0",
    "libxcb-sync.so.1": "libxcb-sync1",
    "libxcb-util.so.1": "libxcb-util1",
    "libxcb-xfixes.so.0": "libxcb-xfixes0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
}
"""Shared library → Debian package."""

FONT_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts")


class CannotPrepare(Exception):
    """Something a person has to do first; the message is the sentence that says what."""


def check_interpreter(version: tuple[int, ...], has_venv: bool, name: str = "python3") -> None:
    """Whether this Python will do.

    Raises:
        CannotPrepare: it is too old, or Debian's separate venv package is missing.
    """
    if version[:2] < OLDEST:
        found = ".".join(str(part) for part in version[:3])
        wanted = ".".join(str(part) for part in OLDEST)
        raise CannotPrepare(
            f"OptLab needs Python {wanted} or newer, but {name} is {found}: install a newer one "
            "and name it, as in make run PYTHON=python3.12."
        )
    if not has_venv:
        raise CannotPrepare(
            "Python's venv module is missing: install it (Debian, Ubuntu: apt-get install "
            "python3-venv) and try again."
        )


def loads(library: str) -> bool:
    """Whether the system's loader finds a shared library and all that it needs."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def missing_libraries() -> list[str]:
    """The shared libraries of :data:`LIBRARIES` that are not there.

    None are asked for outside Linux.
    """
    return (
        [library for library in LIBRARIES if not loads(library)] if sys.platform == "linux" else []
    )


def has_font() -> bool:
    """Whether any scalable font is installed; without one Qt draws boxes."""
    folders = [Path(folder).expanduser() for folder in FONT_FOLDERS]
    return any(
        path.suffix.lower() in (".ttf", ".otf", ".ttc", ".pfb")
        for folder in folders
        if folder.is_dir()
        for path in folder.rglob("*")
    )


def wanted_packages(
    missing: list[str], font: bool, virtual_screen: bool, compiler: bool
) -> list[str]:
    """Debian packages for what is missing.

    ``font``, ``virtual_screen`` and ``compiler`` tell whether those are there.
    """
    packages = [LIBRARIES[library] for library in missing]
    # xvfb-run needs xauth, which Debian only recommends.
    screen = [] if virtual_screen else ["xvfb", "xauth"]
    # The tests of compiled loops need one.
    compilers = [] if compiler else ["g++"]
    return packages + ([] if font else ["fonts-dejavu-core"]) + screen + compilers


def prepare_system(dev: bool) -> None:
    """Installs missing system libraries where that is allowed.

    Raises:
        CannotPrepare: libraries are missing and the user has to install them.
    """
    if sys.platform != "linux":
        return
    missing = missing_libraries()
    screen = not dev or all(shutil.which(program) for program in ("Xvfb", "xauth"))
    compiler = not dev or any(shutil.which(name) for name in ("c++", "g++", "clang++"))
    packages = wanted_packages(missing, has_font(), screen, compiler)
    if not packages:
        return
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        # The others are good to have; only libraries keep Qt from starting.
        if missing:
            raise CannotPrepare(ask_for_libraries(missing, debian=apt is not None))
        if not compiler:
            say("There is no C++ compiler, which some tests need: install GCC or Clang.")
        return
    say(f"Installing system packages: {' '.join(packages)}")
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    for command in (
        [apt, "-qq", "update"],
        [apt, "-qq", "-y", "--no-install-recommends", "install", *packages],
    ):
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise CannotPrepare(f"{' '.join(command)} failed: {last_line(done.stdout)}")
    still = missing_libraries()
    if still:
        raise CannotPrepare(ask_for_libraries(still, debian=True))


def ask_for_libraries(missing: list[str], debian: bool) -> str:
    """The sentence that asks a person for libraries."""
    if debian:
        return (
            "Qt needs system libraries that are missing: run sudo apt-get install "
            + " ".join(LIBRARIES[library] for library in missing)
            + " and try again."
        )
    return (
        "Qt needs shared libraries that are missing: install "
        + ", ".join(missing)
        + " with your system's package manager and try again."
    )


def torch_arguments(choice: str, pinned: str) -> list[str]:
    """Pip's arguments for the build of torch that was chosen.

    Args:
        choice: "" (what pip finds), the address of an index, a wheel, a version (``2.12.1``,
            ``2.13.0+cpu``) or a build (``cpu``, ``cu128``).
        pinned: the version in constraints.txt.
    """
    if choice.endswith(".whl"):
        return [choice]
    if "://" in choice:
        return ["--index-url", choice, f"torch=={pinned}"]
    if choice[:1].isdigit():
        return [f"torch=={choice}"]
    if choice == "cpu" and sys.platform != "linux":
        # elsewhere the ordinary build is the CPU build, and carries no mark
        return [f"torch=={pinned}"]
    return [f"torch=={pinned}+{choice}"] if choice else [f"torch=={pinned}"]


def pinned_torch(constraints: str) -> str:
    """The version of torch in the text of a constraints file."""
    found = re.search(r"^torch==([^\s;#]+)", constraints, re.MULTILINE)
    if found is None:
        raise CannotPrepare("constraints.txt names no version of torch: restore that file.")
    return found.group(1)


def with_torch(constraints: str, version: str) -> str:
    """Return the constraints with torch held at the build that is installed.

    The constraints with torch held at the build that is installed, so that no later step replaces
    it.
    """
    return re.sub(r"^torch==[^\s;#]+", f"torch=={version}", constraints, flags=re.MULTILINE)


class Environment:
    """The virtual environment and the note in it of what was installed last."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def note(self) -> dict[str, object]:
        """What :meth:`remember` wrote; empty where there is none."""
        try:
            note = json.loads((self.folder / NOTE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return note if isinstance(note, dict) else {}

    def remember(self, note: dict[str, object]) -> None:
        """Writes down what is installed."""
        (self.folder / NOTE).write_text(json.dumps(note), encoding="utf-8")

    def create(self) -> None:
        """A fresh environment of the interpreter that runs this script."""
        say(f"Creating the virtual environment {self.folder}")
        run(
            [sys.executable, "-m", "venv", "--clear", str(self.folder)],
            f"The virtual environment {self.folder} could not be created",
        )

    def pip(self, arguments: list[str], failed: str) -> None:
        """``pip install`` with progress where a person watches."""
        quiet = [] if sys.stdout.isatty() else ["--quiet"]
        run(
            [
                str(self.python),
                "-m",
                "pip",
                "--disable-pip-version-check",
                "install",
                *quiet,
                *arguments,
            ],
            failed,
        )

    def version(self, distribution: str) -> str:
        """The installed version of a distribution, or ""."""
        program = "import sys, importlib.metadata as m\ntry: print(m.version(sys.argv[1]))\nexcept m.PackageNotFoundError: pass"
        done = subprocess.run(
            [str(self.python), "-c", program, distribution],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return done.stdout.strip()


def prepare_environment(environment: Environment, dev: bool, choice: str) -> None:
    """Creates the environment and installs into it what its note does not already list.

    Raises:
        CannotPrepare: a step failed.
    """
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    recipe = [
        (ROOT / "pyproject.toml").read_text(encoding="utf-8"),
        constraints,
        Path(__file__).read_text(encoding="utf-8"),
        str(ROOT),
    ]
    note = environment.note()
    if not environment.python.exists() or note.get("python", sys.version) != sys.version:
        environment.create()
        note = {"choice": note.get("choice", ""), "dev": note.get("dev", False)}
    # A build of torch that was chosen once stays chosen, and what was installed for the tests stays
    # up to date.
    choice = choice or str(note.get("choice", ""))
    dev = dev or note.get("dev") is True
    digest = hashlib.sha256("\0".join(recipe).encode()).hexdigest()
    arguments = torch_arguments(choice, pinned_torch(constraints))
    wanted: dict[str, object] = {
        "python": sys.version,
        "choice": choice,
        "torch": arguments,
        "dev": dev,
        "digest": digest,
    }
    if note == wanted:
        return
    installed = environment.version("torch")
    if not installed or note.get("torch") != arguments:
        say(
            "Installing PyTorch ("
            + (choice or "the build that pip offers; TORCH=… chooses another, see README.md")
            + ")"
        )
        again = ["--force-reinstall"] if installed else []
        environment.pip(
            ["--no-deps", *again, *arguments],
            f"PyTorch could not be installed as {arguments[-1]}; README.md tells what TORCH may be",
        )
        environment.remember({"python": sys.version, "choice": choice, "torch": arguments})
    held = environment.folder / "optlab-constraints.txt"
    held.write_text(with_torch(constraints, environment.version("torch")), encoding="utf-8")
    say("Installing OptLab and the libraries it needs")
    failed = "OptLab could not be installed"
    environment.pip(["-c", str(held), "hatchling"], failed)
    environment.pip(
        ["--no-build-isolation", "-c", str(held), "-e", f"{ROOT}[{'dev' if dev else 'gui'}]"],
        failed,
    )
    # Pip compiles what it copies, but an editable install is read from here. Where the interpreter
    # may not write bytecode, every start would compile these modules anew.
    run(
        [str(environment.python), "-m", "compileall", "-q", str(ROOT / "optlab")],
        "The modules of OptLab could not be compiled",
    )
    environment.remember(wanted)


def run(command: list[str], failed: str) -> None:
    """Runs a command whose output the user sees.

    Raises:
        CannotPrepare: it failed.
    """
    code = subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode
    if code != 0:
        raise CannotPrepare(f"{failed} (exit code {code}; the reason stands above).")


def last_line(output: str) -> str:
    """The last line that says something."""
    return next(
        (line.strip() for line in reversed(output.splitlines()) if line.strip()), "no reason given"
    )


def say(message: str) -> None:
    """Tells what is going on."""
    print(message, flush=True)


def main() -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(description="Prepares this checkout to run OptLab.")
    parser.add_argument("--venv", default=".venv", help="folder of the virtual environment")
    parser.add_argument(
        "--torch",
        default="",
        help="build of PyTorch: an index's address, a wheel, a version or a build such as cpu",
    )
    parser.add_argument("--dev", action="store_true", help="also what the tests need")
    parser.add_argument("--system-only", action="store_true", help="only the system's libraries")
    asked = parser.parse_args()
    try:
        import ensurepip  # noqa: F401  Debian ships venv without it
        import venv  # noqa: F401

        has_venv = True
    except ImportError:
        has_venv = False
    try:
        if not asked.system_only:
            check_interpreter(sys.version_info, has_venv, Path(sys.executable).name)
        prepare_system(asked.dev)
        if not asked.system_only:
            prepare_environment(Environment(ROOT / asked.venv), asked.dev, asked.torch.strip())
    except CannotPrepare as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
