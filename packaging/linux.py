"""What Linux gets around the frozen folder.

Menu entry, icons, file type, page of the manual; and the two packages made of both, a .deb and a
tarball.

The frozen folder is the same in both, and so are the files beside it; a .deb says what it needs of
the system in its control file, the tarball's install script looks for itself.
"""

from __future__ import annotations

import datetime
import gzip
import hashlib
import os
import re
import shutil
import struct
import subprocess
import tarfile
import textwrap
from pathlib import Path

from prepare import LIBRARIES

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
ICON_SIZES = (16, 24, 32, 48, 64, 128, 256, 512)
OTHER_LIBRARIES = ("libstdc++6", "libgcc-s1", "zlib1g")
RENAMED = {"libglib2.0-0": "libglib2.0-0t64 | libglib2.0-0"}
"""Debian packages that newer releases call otherwise."""
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
COMPRESSION_LEVEL = 19
PROGRAMS = ("usr/lib/optlab/optlab", "usr/lib/optlab/_internal/torch/bin/torch_shm_manager")
"""What in the .deb can be executed."""


def filled(template: Path, **values: object) -> str:
    """The text of a template with its ``@NAME@`` places filled in."""
    text = template.read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    left = re.search(r"@[A-Z]+@", text)
    if left:
        raise ValueError(f"{template.name}: nothing was given for {left.group()}")
    return text


def write(path: Path, content: str | bytes, mode: int = 0o644) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)


def share(folder: Path, icons: Path, version: str, day: datetime.date) -> None:
    """Fill ``folder`` (a system's ``share``) with what a desktop reads."""
    linux = HERE / "linux"
    write(folder / "applications" / "optlab.desktop", (linux / "optlab.desktop").read_bytes())
    write(folder / "mime" / "packages" / "optlab.xml", (linux / "optlab-mime.xml").read_bytes())
    write(
        folder / "metainfo" / "org.optlab.OptLab.metainfo.xml",
        filled(linux / "org.optlab.OptLab.metainfo.xml", VERSION=version, DATE=day),
    )
    write(
        folder / "man" / "man1" / "optlab.1.gz",
        gzip.compress(filled(linux / "optlab.1", VERSION=version, DATE=day).encode(), 9, mtime=0),
    )
    hicolor = folder / "icons" / "hicolor"
    for size in ICON_SIZES:
        write(
            hicolor / f"{size}x{size}" / "apps" / "optlab.png", (icons / f"{size}.png").read_bytes()
        )
    write(
        hicolor / "scalable" / "apps" / "optlab.svg",
        (ROOT / "resources" / "icons" / "optlab.svg").read_bytes(),
    )


def shared_objects(folder: Path) -> list[Path]:
    """All ELF files below a folder, links aside."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                if file.read(4) == b"\x7fELF":
                    found.append(path)
    return found


def strip(folder: Path) -> int:
    """Take the symbol tables that no loader reads out of all libraries; how many bytes that saved.

    The program itself is left alone: its archive lies behind what strip would keep. So is a library
    that stripping would break: wheels hold some whose segments were moved, and strip does not keep
    those where the loader wants them.
    """
    saved = 0
    for path in shared_objects(folder / "_internal"):
        stripped = path.with_name(f"{path.name}.stripped")
        subprocess.run(
            ["strip", "--strip-unneeded", "-o", str(stripped), str(path)],
            check=True,
            stderr=subprocess.DEVNULL,
        )
        if loadable(stripped):
            saved += path.stat().st_size - stripped.stat().st_size
            stripped.replace(path)
        else:
            stripped.unlink()
        path.chmod(0o755 if PROGRAMS[1].endswith(f"/{path.name}") else 0o644)
    return saved


def loadable(path: Path) -> bool:
    """Return whether every segment of a 64-bit ELF file lies where its address says.

    Whether every segment of a 64-bit ELF file that is to be loaded lies in the file where its
    address says, page for page.
    """
    with path.open("rb") as file:
        head = file.read(64)
        place, size, count = (
            struct.unpack_from("<Q", head, 32)[0],
            *struct.unpack_from("<HH", head, 54),
        )
        file.seek(place)
        table = file.read(size * count)
    for number in range(count):
        kind, _, offset, address, _, _, _, alignment = struct.unpack_from(
            "<IIQQQQQQ", table, number * size
        )
        if kind == 1 and alignment > 1 and (address - offset) % alignment:
            return False
    return True


def needed_glibc(folder: Path) -> str:
    """The newest version of the C library that any file below ``folder`` asks for."""
    newest = (2, 17)
    for path in shared_objects(folder):
        table = subprocess.run(
            ["objdump", "-T", str(path)], capture_output=True, text=True, check=False
        ).stdout
        for major, minor in re.findall(r"GLIBC_(\d+)\.(\d+)", table):
            newest = max(newest, (int(major), int(minor)))
    return ".".join(str(part) for part in newest)


def changes(version: str, day: datetime.date) -> str:
    """The changelog's newest section in Debian's form."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    section = re.split(r"^## ", text, flags=re.MULTILINE)[1]
    lines = [
        re.sub(r"\s+", " ", item).strip()
        for item in re.findall(r"^- (.+?)(?=^- |^#|\Z)", section, flags=re.MULTILINE | re.DOTALL)
    ]
    wrapped = [
        textwrap.fill(
            line.replace("`", "'"),
            78,
            initial_indent="  * ",
            subsequent_indent="    ",
            break_long_words=False,
        )
        for line in lines
    ]
    stamp = datetime.datetime.combine(day, datetime.time(12), datetime.UTC).strftime(
        "%a, %d %b %Y %H:%M:%S +0000"
    )
    return (
        f"optlab ({version}) stable; urgency=medium\n\n"
        + "\n".join(wrapped)
        + f"\n\n -- OptLab contributors <optlab@localhost.localdomain>  {stamp}\n"
    )


def deb(
    frozen: Path,
    icons: Path,
    out: Path,
    version: str,
    day: datetime.date,
    level: int = COMPRESSION_LEVEL,
) -> Path:
    """Build the .deb.

    The .deb: the frozen folder in /usr/lib/optlab, the command in /usr/bin, and what a desktop
    reads.
    """
    architecture = ARCHITECTURES[os.uname().machine]
    tree = ROOT / "build" / "deb"
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(frozen, tree / "usr" / "lib" / "optlab", symlinks=True)
    (tree / "usr" / "bin").mkdir()
    (tree / "usr" / "bin" / "optlab").symlink_to("../lib/optlab/optlab")
    share(tree / "usr" / "share", icons, version, day)
    documents = tree / "usr" / "share" / "doc" / "optlab"
    write(documents / "copyright", (HERE / "debian" / "copyright").read_bytes())
    write(documents / "changelog.gz", gzip.compress(changes(version, day).encode(), 9, mtime=0))
    write(
        tree / "usr" / "share" / "lintian" / "overrides" / "optlab",
        (HERE / "debian" / "lintian-overrides").read_bytes(),
    )
    for folder in [
        tree,
        *(path for path in tree.rglob("*") if path.is_dir() and not path.is_symlink()),
    ]:
        folder.chmod(0o755)
    files = [path for path in tree.rglob("*") if path.is_file() and not path.is_symlink()]
    for path in files:
        path.chmod(0o755 if path.relative_to(tree).as_posix() in PROGRAMS else 0o644)
    size = sum((path.stat().st_size + 1023) // 1024 for path in files)
    depends = [
        f"libc6 (>= {needed_glibc(frozen)})",
        *OTHER_LIBRARIES,
        *(RENAMED.get(name, name) for name in LIBRARIES.values()),
    ]
    control = filled(
        HERE / "debian" / "control",
        VERSION=version,
        ARCHITECTURE=architecture,
        SIZE=size,
        DEPENDS=", ".join(depends),
    )
    sums = [
        f"{hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}  "
        f"{path.relative_to(tree)}"
        for path in sorted(files)
    ]
    write(tree / "DEBIAN" / "control", control)
    write(tree / "DEBIAN" / "md5sums", "\n".join(sums) + "\n")
    package = out / f"optlab_{version}_{architecture}.deb"
    command = [
        "dpkg-deb",
        "--root-owner-group",
        "-Zzstd",
        f"-z{level}",
        "--build",
        str(tree),
        str(package),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(tree)
    return package


def tarball(frozen: Path, icons: Path, out: Path, version: str, day: datetime.date) -> Path:
    """The tarball for other Linuxes.

    The frozen folder, what a desktop reads, and the script that puts both in their places.
    """
    name = f"optlab-{version}-linux-{os.uname().machine}"
    tree = ROOT / "build" / name
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(frozen, tree / "lib" / "optlab", symlinks=True)
    share(tree / "share", icons, version, day)
    write(tree / "install.sh", (HERE / "linux" / "install.sh").read_bytes(), 0o755)
    write(tree / "LICENSE", (ROOT / "LICENSE").read_bytes())
    package = out / f"{name}.tar.xz"

    def nobodys(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = "root"
        return entry

    with tarfile.open(package, "w:xz", preset=2) as archive:
        archive.add(tree, name, filter=nobodys)
    shutil.rmtree(tree)
    return package
