"""A run knows its data: it is not resumed, measured or looked at on other data, unless asked."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optlab.core import paths
from optlab.core.errors import InvalidInput
from optlab.core.identity import identify
from optlab.entry import main
from optlab.experiment import Experiment
from optlab.experiment.data_files import files_of
from optlab.runners.train import resume
from optlab.store import Store
from optlab.tasks.landscape import with_path
from optlab.tasks.subject import stored

Output = pytest.CaptureFixture[str]


def _rows(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(60, 4))
    return x.round(3), (x[:, 0] > 0).astype(int)


def _write_csv(folder: Path, seed: int) -> Path:
    x, y = _rows(seed)
    path = folder / "table.csv"
    lines = [
        "a,b,c,d,kind",
        *(",".join(map(str, [*row, label])) for row, label in zip(x, y, strict=True)),
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def _write_npz(folder: Path, seed: int) -> Path:
    x, y = _rows(seed)
    np.savez(folder / "arrays.npz", x=x, y=y)
    return folder / "arrays.npz"


def _write_idx(folder: Path, seed: int) -> Path:
    x, y = _rows(seed)
    images = (x * 50 + 128).clip(0, 255).astype(np.uint8)
    head = b"\0\0\x08\x02" + (60).to_bytes(4, "big") + (4).to_bytes(4, "big")
    (folder / "train-images-idx2-ubyte").write_bytes(head + images.tobytes())
    labels = folder / "train-labels-idx1-ubyte"
    labels.write_bytes(b"\0\0\x08\x01" + (60).to_bytes(4, "big") + y.astype(np.uint8).tobytes())
    return labels


NET = """
import torch
class Net(torch.nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.layer = torch.nn.Linear(inputs, outputs)
    def forward(self, x):
        return self.layer(x)
"""


def _write_net(folder: Path, seed: int) -> Path:
    path = folder / "net.py"
    path.write_text(NET + f"# {seed}\n", encoding="utf-8")
    assert main(["model", "register", str(path), "--name", "net", "--yes"]) == 0
    return path


KINDS: dict[str, tuple[Callable[[Path, int], Path], Callable[[Path], str]]] = {
    "csv": (_write_csv, lambda path: f"name = 'csv_file'\npath = '{path}'\ntarget = 'kind'"),
    "npz": (_write_npz, lambda path: f"name = 'npz_file'\npath = '{path}'"),
    "idx": (_write_idx, lambda path: f"name = 'idx_files'\nimages = '{path.parent}'"),
    "own model": (_write_net, lambda path: "name = 'iris'"),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _trained(kind: str, folder: Path, capfd: Output) -> tuple[str, Path]:
    """Train and stop a run on a file of this kind; its id and the file."""
    write, section = KINDS[kind]
    path = write(folder, 0)
    model = "own.net" if kind == "own model" else "linear"
    experiment = folder / "experiment.toml"
    experiment.write_text(
        f"[dataset]\n{section(path)}\n[model]\nname = '{model}'\n[budget]\nsteps = 20\n",
        encoding="utf-8",
    )
    capfd.readouterr()
    assert main(["run", str(experiment), "--json", "--runner", "thread"]) == 0, capfd.readouterr()
    run = json.loads(capfd.readouterr().out)["run"]
    _mark_stopped(run)
    return run, path


def _mark_stopped(run: str) -> None:
    """Make a finished run one that was stopped: what it has stored is the same."""
    from optlab.store import database
    from optlab.store.records import RUNS

    connection = database.connect(paths.home() / database.NAME)
    sql, values = RUNS.update(run, status="stopped")
    connection.execute(sql, values)
    RUNS.write_checksums(connection, run)
    connection.close()


def _commands(run: str) -> list[list[str]]:
    return [
        ["run", "--resume", run],
        ["measure", run, "--instruments", "conditioning"],
        ["spectrum", run],
        ["slice", run, "--points", "3"],
        ["critical", run, "--here"],
    ]


def _refused(arguments: list[str], capfd: Output) -> str:
    capfd.readouterr()
    assert main(arguments) == 2, arguments
    captured = capfd.readouterr()
    assert captured.out == ""
    (sentence,) = captured.err.strip().splitlines()
    return sentence


def test_a_run_keeps_size_and_hash_of_every_file_that_it_read(
    kind: str, tmp_path: Path, capfd: Output
) -> None:
    run, path = _trained(kind, tmp_path, capfd)
    with Store.open_readonly() as store:
        files = store.run(run).files
    content = path.read_bytes()
    expected = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert files[str(path)] == expected
    assert len(files) == (2 if kind == "idx" else 1)
    assert main(["runs", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)[0]["files"][str(path)] == expected


def test_other_rows_of_the_same_size_and_time_are_refused_by_every_command(
    kind: str, tmp_path: Path, capfd: Output
) -> None:
    run, path = _trained(kind, tmp_path, capfd)
    state = path.stat()
    content = path.read_bytes()
    if kind == "own model":
        KINDS[kind][0](tmp_path, 1)  # confirmed again, as a changed module has to be
    else:
        changed = bytearray(content)
        at = -1 if kind != "npz" else changed.index(b"NUMPY") + 300
        changed[at] ^= 1
        path.write_bytes(changed)
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert path.stat().st_size == state.st_size
    for arguments in _commands(run):
        sentence = _refused(arguments, capfd)
        assert str(path) in sentence
        assert run in sentence
        assert hashlib.sha256(content).hexdigest()[:12] in sentence
        assert identify(path).sha256[:12] in sentence
        assert "--changed-data" in sentence
    with pytest.raises(InvalidInput, match="is not what run"):
        stored(run)
    with pytest.raises(InvalidInput, match="is not what run"):
        with_path(run, 0)
    with pytest.raises(InvalidInput, match="is not what run"):
        resume([run], store=paths.home())


def test_a_missing_file_is_named_and_what_to_do(kind: str, tmp_path: Path, capfd: Output) -> None:
    run, path = _trained(kind, tmp_path, capfd)
    path.unlink()
    for arguments in _commands(run):
        sentence = _refused(arguments, capfd)
        assert str(path) in sentence
        assert "put it back" in sentence


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=pytest.mark.soak) if kind == "own model" else kind for kind in KINDS],
    indirect=True,
)
def test_on_the_same_data_every_command_works_as_before(
    kind: str, tmp_path: Path, capfd: Output
) -> None:
    run, path = _trained(kind, tmp_path, capfd)
    path.write_bytes(path.read_bytes())  # another time of change, the same content
    for arguments in reversed(_commands(run)):
        assert main(arguments) == 0, capfd.readouterr().err


def test_changed_data_are_used_where_the_user_asks_for_it(tmp_path: Path, capfd: Output) -> None:
    run, _ = _trained("csv", tmp_path, capfd)
    _write_csv(tmp_path, 1)
    for arguments in reversed(_commands(run)):
        assert main([*arguments, "--changed-data"]) == 0, capfd.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["run", "iris-softmax"], ["measure", "iris-softmax"], ["spectrum", "iris-softmax"]],
)
def test_changed_data_go_with_a_stored_run_only(arguments: list[str], capfd: Output) -> None:
    assert "--changed-data" in _refused([*arguments, "--changed-data"], capfd)


def test_a_test_pair_that_came_later_is_refused(tmp_path: Path, capfd: Output) -> None:
    run, _ = _trained("idx", tmp_path, capfd)
    for name in ("images-idx2", "labels-idx1"):
        content = (tmp_path / f"train-{name}-ubyte").read_bytes()
        (tmp_path / f"t10k-{name}-ubyte").write_bytes(content)
    for arguments in _commands(run):
        assert "would be read now" in _refused(arguments, capfd)


def test_a_table_with_other_columns_is_said_to_have_changed(tmp_path: Path, capfd: Output) -> None:
    run, path = _trained("csv", tmp_path, capfd)
    path.write_text("x,y\n1,2\n2,3\n", encoding="utf-8")
    assert "is not what run" in _refused(["run", "--resume", run], capfd)


def test_runs_of_an_older_store_have_no_files_and_are_not_refused(
    tmp_path: Path, capfd: Output, make_older: Callable[[Path, int], None]
) -> None:
    run, _ = _trained("csv", tmp_path, capfd)
    make_older(paths.home(), 2)
    _write_csv(tmp_path, 1)
    with Store.open_readonly() as store:
        assert store.run(run).files == {}
        assert store.hidden == ""
    assert main(["measure", run, "--instruments", "conditioning"]) == 0, capfd.readouterr().err
    assert main(["run", "--resume", run]) == 0, capfd.readouterr().err


def test_experiments_without_files_of_the_user_have_none() -> None:
    experiment: Any = Experiment.load(paths.presets() / "iris-softmax.toml")
    assert files_of(experiment) == {}
