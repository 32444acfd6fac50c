"""A bare Debian: what ``debootstrap`` gives and nothing more, with a person in it who is not root
and who has never seen Python.

The system lies in a folder; commands run in it by ``chroot``. The screen is an Xvfb of the building
machine, reached through its socket's folder, so that no library comes into the bare system but by
the package that is under test.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

USER = "visitor"
SCREEN = "1920x1200x24"


class CannotProve(Exception):
    """This machine cannot set up a bare system; the message says what is missing."""


class Screen:
    """A virtual screen of the building machine."""

    def __init__(self) -> None:
        reading, writing = os.pipe()
        command = [
            "Xvfb",
            "-displayfd",
            str(writing),
            "-screen",
            "0",
            SCREEN,
            "-nolisten",
            "tcp",
            "-ac",
        ]
        self._process = subprocess.Popen(
            command, pass_fds=[writing], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(writing)
        with os.fdopen(reading) as answer:
            self.name = ":" + answer.readline().strip()

    def titles(self) -> list[str]:
        """Titles of the windows that can be seen."""
        found = subprocess.run(
            ["xdotool", "search", "--onlyvisible", "--name", "."],
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        names = [["xdotool", "getwindowname", number] for number in found.stdout.split()]
        return [
            subprocess.run(
                name, env=self._environment(), capture_output=True, text=True, check=False
            ).stdout.strip()
            for name in names
        ]

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "DISPLAY": self.name}

    def close(self) -> None:
        """Switch it off."""
        self._process.terminate()
        self._process.wait(10)


class Bare:
    """The system in the folder ``root``, made from a copy of ``base`` (which is made once and
    kept).
    """

    def __init__(self, base: Path, root: Path) -> None:
        self.root = root
        self._mounts: list[Path] = []
        if not (base / "etc" / "debian_version").is_file():
            self._bootstrap(base)
        shutil.rmtree(root, ignore_errors=True)
        subprocess.run(["cp", "-a", str(base), str(root)], check=True)
        for command in (
            ["mount", "-t", "proc", "proc", "proc"],
            ["mount", "-t", "tmpfs", "tmpfs", "dev/shm"],
        ):
            place = root / command[-1]
            place.mkdir(exist_ok=True, mode=0o1777)
            subprocess.run([*command[:-1], str(place)], check=True)
            self._mounts.append(place)
        (root / "dev" / "shm").chmod(0o1777)
        sockets = root / "tmp" / ".X11-unix"
        sockets.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "--bind", "/tmp/.X11-unix", str(sockets)], check=True)
        self._mounts.append(sockets)
        self.command("useradd", "--create-home", "--shell", "/bin/sh", USER)

    @staticmethod
    def _bootstrap(base: Path) -> None:
        for program in ("debootstrap", "Xvfb", "xdotool", "strace"):
            if shutil.which(program) is None:
                raise CannotProve(
                    f"{program} is missing: install it with apt-get install debootstrap xvfb "
                    "xdotool strace."
                )
        if os.geteuid() != 0:
            raise CannotProve(
                "A bare system can only be set up by root: run sudo make test-package."
            )
        code = dict(
            line.split("=", 1)
            for line in Path("/etc/os-release").read_text().splitlines()
            if "=" in line
        )["VERSION_CODENAME"].strip('"')
        format_ = "$(REPO_URI) $(CODENAME) $(COMPONENT)"
        reported = subprocess.run(
            ["apt-get", "indextargets", "--format", format_, "Created-By: Packages"],
            capture_output=True,
            text=True,
            check=True,
        )
        sites = [line.split() for line in reported.stdout.splitlines()]
        mirrors = [
            site
            for site, name, component in sites
            if name == code and component == "main" and site.startswith("http")
        ]
        if not mirrors:
            raise CannotProve(f"apt knows no mirror of {code} on this machine.")
        partial = base.with_name(base.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.parent.mkdir(parents=True, exist_ok=True)
        with (base.parent / "debootstrap.log").open("w") as log:
            done = subprocess.run(
                ["debootstrap", "--variant=minbase", code, str(partial), mirrors[0]],
                stdout=log,
                stderr=log,
                check=False,
            )
        if done.returncode != 0:
            raise CannotProve(f"debootstrap failed; see {log.name}.")
        # How this machine reaches its mirror (a proxy, say) is how the bare one does.
        way = subprocess.run(
            ["apt-config", "dump", "Acquire"], capture_output=True, text=True, check=True
        ).stdout
        proxies = [line for line in way.splitlines() if "::Proxy" in line]
        (partial / "etc" / "apt" / "apt.conf.d" / "90way").write_text("\n".join(proxies) + "\n")
        shutil.copy("/etc/resolv.conf", partial / "etc" / "resolv.conf")
        partial.rename(base)

    def command(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A command of the bare system's root."""
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "DEBIAN_FRONTEND": "noninteractive",
            "LC_ALL": "C",
            "HOME": "/root",
        }
        environment.update(
            {
                name: value
                for name, value in os.environ.items()
                if name.lower() in ("http_proxy", "https_proxy", "no_proxy")
            }
        )
        done = subprocess.run(
            ["/usr/sbin/chroot", str(self.root), *words],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert not check or done.returncode == 0, (
            f"{words} answered {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        )
        return done

    def put(self, file: Path, place: str) -> str:
        """A copy of a file of this machine at ``place`` within; the place."""
        target = self.root / place.lstrip("/")
        shutil.copy(file, target)
        target.chmod(0o644)
        return place

    def owner(self) -> tuple[int, int]:
        """The numbers of the user and the group of the person in it."""
        home = (self.root / "home" / USER).stat()
        return home.st_uid, home.st_gid

    def words(
        self,
        *words: str,
        screen: Screen | None = None,
        before: Sequence[str] = (),
        **environment: str,
    ) -> tuple[list[str], dict[str, str]]:
        """What :meth:`person` runs, and in which environment."""
        variables = {
            "PATH": f"/home/{USER}/.local/bin:/usr/local/bin:/usr/bin:/bin",
            "HOME": f"/home/{USER}",
            "LANG": "C.UTF-8",
            **environment,
        }
        if screen is not None:
            variables["DISPLAY"] = screen.name
        shell = 'ulimit -c unlimited; cd "$HOME" 2>/dev/null || cd /; exec "$@"'
        return [
            *before,
            "/usr/sbin/chroot",
            f"--userspec={USER}:{USER}",
            str(self.root),
            "/bin/sh",
            "-c",
            shell,
            "sh",
            *words,
        ], variables

    def person(
        self,
        *words: str,
        screen: Screen | None = None,
        before: Sequence[str] = (),
        timeout: float = 300.0,
        **environment: str,
    ) -> subprocess.CompletedProcess[str]:
        """A command of the ordinary user. ``before`` stands in front of chroot (strace, say)."""
        command, variables = self.words(*words, screen=screen, before=before, **environment)
        return subprocess.run(
            command, env=variables, capture_output=True, text=True, check=False, timeout=timeout
        )

    def start(self, *words: str, screen: Screen, **environment: str) -> subprocess.Popen[str]:
        """The same, not waited for."""
        command, variables = self.words(*words, screen=screen, **environment)
        return subprocess.Popen(
            command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def files(self) -> dict[str, tuple[int, int]]:
        """Every file outside the mounted folders and the package manager's own records → size and
        time of change.
        """
        own = ("proc", "dev", "var/lib/apt", "var/cache", "var/log", "var/lib/dpkg")
        found = {}
        for folder, folders, names in os.walk(self.root):
            here = os.path.relpath(folder, self.root)
            folders[:] = [
                name for name in folders if os.path.normpath(os.path.join(here, name)) not in own
            ]
            for name in names:
                state = os.lstat(os.path.join(folder, name))
                found[os.path.normpath(os.path.join(here, name))] = (
                    state.st_size,
                    state.st_mtime_ns,
                )
        return found

    def close(self) -> None:
        """Let go of what was mounted; the folder stays for looking at."""
        for place in reversed(self._mounts):
            subprocess.run(["umount", "--lazy", str(place)], check=False)


def waited(condition: object, seconds: float = 60.0) -> bool:
    """Whether ``condition()`` came true within so many seconds."""
    assert callable(condition)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.2)
    return False
