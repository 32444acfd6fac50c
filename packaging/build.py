"""Builds the packages of the system that it runs on: ``make package``.

The organizing idea: one frozen folder, made by PyInstaller from packaging/optlab.spec in an
environment of its own whose files are held by their hashes (packaging/requirements.txt), and around
it what each system calls a package. Everything is left in ``dist``: packages, wheel and source
archive, the list of what is inside (SBOM), and checksums. What was built before is built again; the
environment is kept while its recipe stays the same.

Standard library only: it makes the environment that has the rest.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE))

from prepare import (  # noqa: E402 - beside this file
    CannotPrepare,
    Environment,
    check_interpreter,
    pinned_torch,
    run,
    say,
    torch_arguments,
)

STEPS = ("frozen", "deb", "tarball", "installer", "wheel", "sbom", "checksums")
"""What can be built, in order; ``installer`` is the one of Windows or macOS."""

NSIS = "C:/Program Files (x86)/NSIS/makensis.exe"
"""Where its installer puts it, without telling the path."""


def version() -> str:
    """OptLab's version, from the one place where it stands."""
    found = re.search(
        r'^__version__ = "([^"]+)"$',
        (ROOT / "optlab" / "__init__.py").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    if found is None:
        raise CannotPrepare("optlab/__init__.py names no version: restore that file.")
    return found.group(1)


def day() -> datetime.date:
    """The packages' date: of ``SOURCE_DATE_EPOCH``, of the newest commit, or today."""
    stamp = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not stamp and shutil.which("git"):
        stamp = subprocess.run(
            ["git", "log", "-1", "--format=%ct"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        ).stdout.strip()
    return datetime.datetime.fromtimestamp(
        int(stamp) if stamp.isdecimal() else time.time(), datetime.UTC
    ).date()


class Builder:
    """The steps, and what they share.

    Args:
        out: where packages go. torch: the build of torch, as in ``make run TORCH=…``. version: what
            the packages call themselves.
    """

    def __init__(self, out: Path, torch: str, version: str) -> None:
        self.out = out
        self.torch = torch
        self.version = version
        self.environment = Environment(ROOT / "build" / "environment")
        self.icons = ROOT / "build" / "icons"
        self.folder = out / "optlab"
        out.mkdir(parents=True, exist_ok=True)

    def prepare(self) -> None:
        """Return the environment with all that is packaged, every file held by its hash.

        The environment with all that is packaged, every file held by its hash (a build of torch
        that was asked for aside).
        """
        check_interpreter(sys.version_info, has_venv(), Path(sys.executable).name)
        locked = (HERE / "requirements.txt").read_text(encoding="utf-8")
        wanted: dict[str, object] = {
            "python": sys.version,
            "torch": self.torch,
            "digest": hashlib.sha256(locked.encode()).hexdigest(),
        }
        environment = self.environment
        if environment.python.exists() and environment.note() == wanted:
            return
        environment.create()
        say("Installing what is packaged")
        if self.torch:
            pinned = pinned_torch((ROOT / "constraints.txt").read_text(encoding="utf-8"))
            environment.pip(
                ["--no-deps", *torch_arguments(self.torch, pinned)],
                "PyTorch could not be installed",
            )
            locked = re.sub(r"^torch==.*\n(?:    .*\n)*", "", locked, flags=re.MULTILINE)
        held = environment.folder / "locked.txt"
        held.write_text(locked, encoding="utf-8")
        needs_index = (
            "; where pip finds no CPU build of torch, TORCH=… names one, see README.md"
            if sys.platform == "linux" and not self.torch
            else ""
        )
        environment.pip(
            ["--no-deps", "--require-hashes", "-r", str(held)],
            f"What is packaged could not be installed{needs_index}",
        )
        environment.remember(wanted)

    def python(self, *arguments: str, failed: str) -> None:
        """Run the environment's Python in the checkout."""
        run([str(self.environment.python), *arguments], failed)

    def frozen(self) -> None:
        """The frozen folder ``dist/optlab``."""
        self.python(str(HERE / "icons.py"), str(self.icons), failed="The icons could not be drawn")
        say("Freezing the program (about two minutes)")
        work = ["--distpath", str(self.out), "--workpath", str(ROOT / "build" / "pyinstaller")]
        spec = str(HERE / "optlab.spec")
        self.python(
            "-m",
            "PyInstaller",
            spec,
            *work,
            "--noconfirm",
            "--log-level",
            "ERROR",
            failed="The program could not be frozen",
        )
        if sys.platform == "linux":
            from linux import strip

            say(f"Stripped {strip(self.folder) / 1e6:.0f} MB of symbols from its libraries")

    def deb(self) -> None:
        """The Debian package."""
        if sys.platform == "linux" and shutil.which("dpkg-deb"):
            from linux import deb

            self._tell(deb(self.folder, self.icons, self.out, self.version, day()))

    def tarball(self) -> None:
        """The archive for other Linuxes."""
        if sys.platform == "linux":
            from linux import tarball

            self._tell(tarball(self.folder, self.icons, self.out, self.version, day()))

    def installer(self) -> None:
        """The installer of Windows (NSIS) or the disk image of macOS."""
        if sys.platform == "win32":
            package = self.out / f"optlab-{self.version}-windows-x64.exe"
            size = (
                sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())
                // 1024
            )
            names = {
                "VERSION": self.version,
                "SOURCE": self.folder,
                "ICON": self.icons / "optlab.ico",
                "OUTPUT": package,
                "SIZE": size,
            }
            given = [f"-D{name}={value}" for name, value in names.items()]
            run(
                [
                    shutil.which("makensis") or NSIS,
                    "-V2",
                    *given,
                    str(HERE / "windows" / "optlab.nsi"),
                ],
                "The installer could not be made",
            )
            self._tell(package)
        elif sys.platform == "darwin":
            package = self.out / f"optlab-{self.version}-macos-{os.uname().machine}.dmg"
            run(
                [
                    "sh",
                    str(HERE / "macos" / "make-dmg.sh"),
                    str(self.out / "OptLab.app"),
                    str(package),
                ],
                "The disk image could not be made",
            )
            self._tell(package)

    def wheel(self) -> None:
        """The wheel and the source archive."""
        self.python(
            "-m",
            "build",
            "--no-isolation",
            "--outdir",
            str(self.out),
            str(ROOT),
            failed="The wheel could not be built",
        )

    def sbom(self) -> None:
        """What is inside, as a CycloneDX document.

        The distributions that the program is made of, with versions and licenses.
        """
        package = self.out / f"optlab-{self.version}-{sys.platform}.cdx.json"
        arguments = [
            "environment",
            "--output-reproducible",
            "--of",
            "JSON",
            "-o",
            str(package),
            str(self.environment.python),
        ]
        self.python(
            "-m",
            "cyclonedx_py",
            *arguments,
            failed="The list of what is inside could not be written",
        )
        code = (
            f"import sys; sys.path.insert(0, {str(HERE)!r}); import pathlib, parts; "
            f"print(*parts.requirements(pathlib.Path({str(ROOT)!r})))"
        )
        inside = set(
            subprocess.run(
                [str(self.environment.python), "-c", code],
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            ).stdout.split()
        )
        document = json.loads(package.read_text(encoding="utf-8"))
        components = document["components"]
        document["components"] = [
            each for each in components if re.sub(r"[._-]+", "-", each["name"]).lower() in inside
        ]
        kept = {each["bom-ref"] for each in document["components"]}
        for dependency in document.get("dependencies", []):
            dependency["dependsOn"] = [
                reference for reference in dependency.get("dependsOn", []) if reference in kept
            ]
        document["dependencies"] = [
            each for each in document.get("dependencies", []) if each["ref"] in kept
        ]
        document.setdefault("metadata", {})["component"] = {
            "type": "application",
            "name": "optlab",
            "version": self.version,
            "bom-ref": "optlab",
        }
        document["dependencies"].insert(0, {"ref": "optlab", "dependsOn": sorted(kept)})
        package.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        self._tell(package)

    def checksums(self) -> None:
        """``SHA256SUMS`` of everything in ``dist`` that is a file."""
        files = sorted(
            path for path in self.out.iterdir() if path.is_file() and path.name != "SHA256SUMS"
        )
        lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in files]
        (self.out / "SHA256SUMS").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _tell(self, package: Path) -> None:
        say(f"{package.name}: {package.stat().st_size / 1e6:.1f} MB")


def has_venv() -> bool:
    """Whether this interpreter can make environments; Debian ships it without."""
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        return False
    return True


def main() -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(description="Builds the packages of this system.")
    parser.add_argument(
        "steps", nargs="*", metavar="STEP", help=f"only these of: {', '.join(STEPS)}"
    )
    parser.add_argument(
        "--torch",
        default="",
        help="build of PyTorch: an index's address, a wheel, a version or a build such as cpu",
    )
    parser.add_argument("--version", default=version(), help="what the packages call themselves")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="where they go")
    asked = parser.parse_args()
    unknown = [step for step in asked.steps if step not in STEPS]
    if unknown:
        parser.error(f"there is no step {unknown[0]}; known are: {', '.join(STEPS)}")
    builder = Builder(asked.out.resolve(), asked.torch.strip(), asked.version)
    try:
        builder.prepare()
        for step in [step for step in STEPS if not asked.steps or step in asked.steps]:
            begun = time.monotonic()
            getattr(builder, step)()
            say(f"{step}: {time.monotonic() - begun:.0f} s")
    except CannotPrepare as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
