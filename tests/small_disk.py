"""A real disk of a few megabytes, for tests of what happens when it is full."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MIB = 1 << 20
PRIVILEGED = [] if os.geteuid() == 0 else ["sudo", "-n"]


class SmallDisk:
    """A file system in memory; ``path`` is where it is mounted."""

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self._mount(f"size={size},mode=777")

    def _mount(self, options: str) -> None:
        subprocess.run(
            [*PRIVILEGED, "mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.path)],
            check=True,
        )

    def fill(self, left: int) -> None:
        """Take all room but so many bytes."""
        disk = os.statvfs(self.path)
        free = disk.f_bavail * disk.f_frsize
        with (self.path / "filler").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, free - left)

    def make_room(self) -> None:
        """Make the disk larger."""
        self._mount(f"remount,size={64 * MIB}")

    def unmount(self) -> None:
        """Remove the disk."""
        subprocess.run([*PRIVILEGED, "umount", str(self.path)], check=True)


@contextmanager
def small_disk(path: Path, size: int = 8 * MIB) -> Iterator[SmallDisk]:
    """Mount a disk of ``size`` bytes at ``path``."""
    path.mkdir()
    disk = SmallDisk(path, size)
    try:
        yield disk
    finally:
        disk.unmount()
