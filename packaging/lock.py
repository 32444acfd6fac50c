"""Writes packaging/requirements.txt.

Every distribution that the packaged program is built from, in one version, with its files' hashes.

Versions come from constraints.txt, names from pyproject.toml, hashes from the package indexes that
uv is set up with; ``make lock`` runs this after either changed. Packages hold the CPU build of
torch, so two things differ from what uv writes: libraries of a graphics card's maker are dropped,
and on Linux torch is the build that is called ``+cpu`` (the builds for other systems have no such
mark).
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
LOCKED = HERE / "requirements.txt"
TOOLS = ("pyinstaller>=6.16,<7", "cyclonedx-bom>=7", "hatchling>=1.26", "build>=1.2")
NOT_PACKAGED = ("pyarrow",)
GRAPHICS_CARD = ("nvidia-", "cuda-", "triton")
HEADER = "# Written by packaging/lock.py (make lock): what the packaged program is built from. Do not edit.\n"


def wanted(project: dict[str, list[str]], optional: dict[str, list[str]]) -> list[str]:
    """Requirements of the packaged program and of its building."""
    names = [*project["dependencies"], *optional["gui"], *TOOLS]
    return [name for name in names if not name.startswith(NOT_PACKAGED)]


def merged(compiled: str) -> str:
    """What uv wrote, with the two differences that the module tells of."""
    lines = "\n".join(line for line in compiled.splitlines() if not line.lstrip().startswith("#"))
    blocks = [
        block
        for block in re.split(r"\n(?=\S)", lines.strip())
        if block and not block.startswith(GRAPHICS_CARD)
    ]
    others = [block for block in blocks if not block.startswith("torch==")]
    for build, where in (("+cpu", "=="), ("", "!=")):
        block = next(
            block
            for block in blocks
            if re.match(r"torch==[0-9.]+" + re.escape(build) + r"[ ;\\]", block)
        )
        version, hashes = block.split()[0], re.findall(r"--hash=sha256:[0-9a-f]{64}", block)
        others.append(" \\\n    ".join([f"{version} ; sys_platform {where} 'linux'", *hashes]))
    return HEADER + "\n".join(sorted(others, key=str.lower)) + "\n"


def main() -> int:
    """Write the file; the exit code."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    with tempfile.TemporaryDirectory() as folder:
        asked, answer = Path(folder, "wanted.in"), Path(folder, "locked.txt")
        asked.write_text(
            "\n".join(wanted(project, project["optional-dependencies"])) + "\n", encoding="utf-8"
        )
        command = [
            "uv",
            "pip",
            "compile",
            "--universal",
            "--generate-hashes",
            "--no-header",
            "--no-annotate",
            "--python-version",
            "3.11",
        ]
        command += [
            "-c",
            str(ROOT / "constraints.txt"),
            str(asked),
            "-o",
            str(answer),
            *sys.argv[1:],
        ]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
        if done.returncode != 0:
            print("The versions could not be locked; the reason stands above.", file=sys.stderr)
            return 1
        LOCKED.write_text(merged(answer.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"{LOCKED.relative_to(ROOT)} is written.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
