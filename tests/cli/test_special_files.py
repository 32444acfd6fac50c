"""A path that names something else than a file is refused at once, by everything that reads one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from optlab.core import paths, reading
from optlab.core.reading import NotAFile, open_regular, read_at_most
from optlab.entry import main
from optlab.tasks.own_files import ImportTask
from optlab.training.control import Inbox

Make = Callable[[Path], None]


def _socket(path: Path) -> None:
    listening = socket.socket(socket.AF_UNIX)
    # The name of a socket may have a hundred bytes only.
    here = os.open(path.parent, os.O_RDONLY)
    try:
        listening.bind(f"/proc/self/fd/{here}/{path.name}")
    finally:
        os.close(here)
        listening.close()


def _link(target: str) -> Make:
    return lambda path: path.symlink_to(target)


KINDS: dict[str, tuple[Make, str]] = {
    "pipe": (os.mkfifo, "named pipe"),
    "socket": (_socket, "socket"),
    "endless": (_link("/dev/zero"), "device"),
    "terminal": (_link("/dev/tty"), "device"),
    "kernel": (_link("/proc/kmsg"), "kernel"),
    "process": (_link("/proc/self/mem"), "kernel"),
    # Not every container has it.
    **(
        {"sysfs": (_link("/sys/kernel/uevent_seqnum"), "kernel")} if os.path.ismount("/sys") else {}
    ),
    "folder": (lambda path: path.mkdir(), "folder"),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def _at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test that waits or reads without end."""

    def late(number: int, frame: object) -> None:
        raise AssertionError("a special file was waited for")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def _section(kind: str, **values: str) -> str:
    fields = "".join(f"{name} = '{value}'\n" for name, value in values.items())
    text = f"[dataset]\nname = '{kind}'\n{fields}[model]\nname = 'linear'\n"
    Path("of.toml").write_text(text, encoding="utf-8")
    return "of.toml"


def _csv(place: Path) -> list[str]:
    return ["run", _section("csv_file", path=str(place), target="1")]


def _npz(place: Path) -> list[str]:
    return ["run", _section("npz_file", path=str(place))]


def _idx_images(place: Path) -> list[str]:
    Path("labels").write_bytes(b"\0\0\x08\x01\0\0\0\x01\0")
    return ["run", _section("idx_files", images=str(place), labels="labels")]


def _idx_labels(place: Path) -> list[str]:
    Path("images").write_bytes(b"\0\0\x08\x02\0\0\0\x01\0\0\0\x01\0")
    return ["run", _section("idx_files", images="images", labels=str(place))]


def _idx_folder(place: Path) -> list[str]:
    folder = Path("folder")
    folder.mkdir()
    place.rename(folder / "train-images-idx3-ubyte")
    (folder / "train-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01\0\0\0\x01\0")
    return ["run", _section("idx_files", images="folder")]


def _public(place: Path) -> list[str]:
    folder = paths.home() / "datasets"
    folder.mkdir(parents=True)
    place.rename(folder / "credit-g-1.npz")
    return ["run", _section("openml", set="credit-g")]


def _set(place: Path) -> list[str]:
    source = _csv(Path("there.csv"))[1]
    rows = "\n".join(f"{x},{x % 2}" for x in np.arange(9))
    Path("there.csv").write_text(rows, encoding="utf-8")
    return ["run", source, "--set", f"dataset.path={place}"]


READERS: dict[str, Callable[[Path], list[str]]] = {
    "csv": _csv,
    "npz": _npz,
    "idx images": _idx_images,
    "idx labels": _idx_labels,
    "idx folder": _idx_folder,
    "public set": _public,
    "another data file": _set,
    "import": lambda place: ["import", str(place)],
    "import json": lambda place: ["import", str(place), "--json"],
    "import target": lambda place: ["import", str(place), "--target", "1"],
    "model": lambda place: ["model", "register", str(place), "--yes"],
    **{
        command: lambda place, command=command: [command, str(place)]  # type: ignore[misc]
        for command in ("run", "spectrum", "slice", "critical", "measure", "range", "start")
    },
    "race": lambda place: ["race", str(place), "--optimizers", "sgd"],
}


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_refuses_a_special_file_at_once(
    kind: str, reader: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make, word = KINDS[kind]
    place = tmp_path / "special.toml"
    make(place)
    arguments = READERS[reader](place)
    assert main(arguments) == 2
    sentence = capfd.readouterr().err.strip()
    assert len(sentence.splitlines()) == 1
    assert sentence.endswith(".")
    if kind != "folder":  # which may be one of IDX files
        assert f"cannot be read: it is a {word}" in sentence or "of the system's kernel" in sentence


@pytest.mark.parametrize(
    "reader",
    ["csv", *(pytest.param(name, marks=pytest.mark.soak) for name in ("import", "run", "model"))],
)
def test_the_command_refuses_it_as_a_process(kind: str, reader: str, tmp_path: Path) -> None:
    place = tmp_path / "special.toml"
    KINDS[kind][0](place)
    command = [sys.executable, "-m", "optlab", *READERS[reader](place)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=18, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_standard_input_is_no_file(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "optlab", "import", "/dev/stdin"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        # Nothing is written to it, and it stays open.
        assert process.wait(timeout=18) == 2
        assert process.stderr is not None
        assert b"it is a named pipe" in process.stderr.read()


def test_the_import_of_the_window_says_what_is_wrong(kind: str, tmp_path: Path) -> None:
    place = tmp_path / "special.csv"
    KINDS[kind][0](place)
    (seen,) = ImportTask(str(place), {}).run(Inbox())
    assert seen.problem


def test_the_list_of_own_models_is_not_waited_for(
    kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    place = paths.writable_home() / "own_models.toml"
    KINDS[kind][0](place)
    assert main(["model", "list"]) == 1
    assert "cannot be read: it is a" in capfd.readouterr().err


def test_a_model_that_became_a_pipe_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "net.py"
    source.write_text(
        "import torch\n\nclass Net(torch.nn.Module):\n"
        "    def __init__(self, inputs, outputs):\n        super().__init__()\n"
        "        self.layer = torch.nn.Linear(inputs, outputs)\n"
        "    def forward(self, x):\n        return self.layer(x)\n",
        encoding="utf-8",
    )
    assert main(["model", "register", str(source), "--yes"]) == 0
    source.unlink()
    os.mkfifo(source)
    assert main(["run", "iris-softmax", "--set", "model.name=own.net"]) == 2
    assert "it is a named pipe" in capfd.readouterr().err


def test_a_regular_file_is_read_through_links_and_from_memory(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_bytes(b"0123456789")
    link = tmp_path / "link"
    link.symlink_to(place)
    with open_regular(link) as file:
        assert file.read() == b"0123456789"
    assert read_at_most(place, 10) == b"0123456789"
    assert read_at_most(place, 9) is None


def test_what_became_special_after_the_look_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, pipe = tmp_path / "file", tmp_path / "pipe"
    place.write_bytes(b"x")
    os.mkfifo(pipe)
    real = os.open
    monkeypatch.setattr(os, "open", lambda path, flags: real(pipe, flags))
    with pytest.raises(NotAFile, match="named pipe"):
        open_regular(place)


def test_regular_files_are_read_where_a_folder_of_the_kernel_is_not_mounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, file = tmp_path / "sys", tmp_path / "table.csv"
    folder.mkdir()
    file.write_bytes(b"1,2\n")
    monkeypatch.setattr(reading, "_KERNEL", (folder,))
    assert reading.read_at_most(file, 10) == b"1,2\n"
