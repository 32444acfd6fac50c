"""What a model imports from beside its file is part of what is confirmed and of what a run knows."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest

from optlab.core.errors import InvalidInput
from optlab.entry import main
from optlab.outside.own_models import imports, records, sources
from optlab.store import Store
from optlab.store.records import RUNS

Output = pytest.CaptureFixture[str]

NET = """
import os, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import torch
import helper

class Net(torch.nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.layer = torch.nn.Linear(inputs, outputs)
    def forward(self, x):
        from parts.scaling import scaled
        return scaled(helper.FACTOR * self.layer(x))
"""
FILES = {
    "net.py": NET,
    "helper.py": "FACTOR = 2.0\n",
    "parts/__init__.py": "",
    "parts/scaling.py": "from . import deep\nfrom .deep import ONE\ndef scaled(x):\n    return x * ONE\n",
    "parts/deep.py": "import json, helper\nONE = 1.0\n",
    "unused.py": "raise SystemExit\n",
    "torch_notes.py": "",
}
BESIDE = {"helper.py", "parts/__init__.py", "parts/scaling.py", "parts/deep.py"}


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("helper", "parts", "parts.scaling", "parts.deep"):
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.fixture
def net(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    return folder / "net.py"


def _register(net: Path) -> None:
    assert main(["model", "register", str(net), "--name", "net", "--yes"]) == 0


def test_that_the_files_beside_a_source_are_found_with_what_they_import(net: Path) -> None:
    found = imports.beside(net, net.read_bytes())
    assert found == {
        name: hashlib.sha256(FILES[name].encode()).hexdigest() for name in sorted(BESIDE)
    }


def test_that_a_module_of_a_package_has_the_files_of_its_package_alone(tmp_path: Path) -> None:
    package = tmp_path / "mine"
    package.mkdir()
    (tmp_path / "outer.py").write_text("", encoding="utf-8")
    (package / "__init__.py").write_text("from mine.net import Net", encoding="utf-8")
    (package / "layers.py").write_text("", encoding="utf-8")
    path = package / "net.py"
    path.write_text("import outer\nfrom . import layers\nclass Net: pass", encoding="utf-8")
    found = imports.beside(path, path.read_bytes(), "mine.net")
    assert set(found) == {"mine/__init__.py", "mine/layers.py"}
    init = package / "__init__.py"
    assert set(imports.beside(init, init.read_bytes(), "mine")) == {
        "mine/layers.py",
        "mine/net.py",
    }


def test_that_nothing_is_looked_up_beside_an_installed_package(tmp_path: Path) -> None:
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "helper.py").write_text("", encoding="utf-8")
    assert imports.beside(folder / "net.py", b"import helper") == {}


def test_that_too_many_files_are_refused(tmp_path: Path) -> None:
    names = [f"m{number}" for number in range(imports.MAX_FILES + 1)]
    for name in names:
        (tmp_path / f"{name}.py").write_text("", encoding="utf-8")
    with pytest.raises(InvalidInput, match=f"more than {imports.MAX_FILES} files"):
        imports.beside(tmp_path / "net.py", f"import {', '.join(names)}".encode())


@pytest.mark.parametrize(
    "name",
    [
        "parts/deep.py",
        *(
            pytest.param(name, marks=pytest.mark.soak)
            for name in sorted(BESIDE - {"parts/deep.py"})
        ),
    ],
)
def test_that_a_changed_import_is_refused_until_it_is_confirmed_again(
    net: Path, name: str, capfd: Output
) -> None:
    _register(net)
    registration = records.get("net")
    assert set(registration.beside) == BESIDE
    assert sources.load(registration).__name__ == "Net"
    changed = net.parent / name
    changed.write_text(FILES[name] + "# changed\n", encoding="utf-8")
    with pytest.raises(InvalidInput) as error:
        sources.load(registration)
    assert str(changed) in str(error.value) and "confirm it again" in str(error.value)
    capfd.readouterr()
    assert main(["run", "iris-softmax", "--set", "model.name=own.net", "--steps", "2"]) == 2
    assert str(changed) in capfd.readouterr().err
    _register(net)
    assert sources.load(records.get("net")).__name__ == "Net"


def test_that_an_import_that_is_new_or_gone_is_refused(net: Path) -> None:
    _register(net)
    (net.parent / "json.py").write_text("", encoding="utf-8")  # parts/deep.py imports this name
    with pytest.raises(InvalidInput, match=r"json\.py, which it imports, has changed"):
        sources.confirmed(records.get("net"))
    (net.parent / "json.py").unlink()
    (net.parent / "helper.py").unlink()
    with pytest.raises(InvalidInput, match=r"helper\.py, which it imports, has changed"):
        sources.confirmed(records.get("net"))


def test_that_a_changed_import_is_executed_anew_once_it_is_confirmed(net: Path) -> None:
    import torch

    x = torch.ones(1, 3)
    outputs = []
    for factor in (2.0, 6.0):
        (net.parent / "helper.py").write_text(f"FACTOR = {factor}\n", encoding="utf-8")
        _register(net)
        torch.manual_seed(0)
        outputs.append(sources.load(records.get("net"))(3, 2)(x))
    torch.testing.assert_close(outputs[1], 3.0 * outputs[0])


def test_that_confirming_shows_every_file_that_will_be_executed(net: Path, capfd: Output) -> None:
    _register(net)
    shown = capfd.readouterr().err
    assert all(f"imports  {net.parent / name}" in shown for name in BESIDE)


def test_that_a_file_that_changes_between_showing_and_confirming_is_refused(net: Path) -> None:
    from optlab.tasks.own_files import RegisterTask
    from optlab.training.control import Inbox

    shown = sources.find(str(net))
    (net.parent / "helper.py").write_text("FACTOR = 5.0\n", encoding="utf-8")
    task = RegisterTask(f"{net}:Net", shown.fingerprint, "net")
    with pytest.raises(InvalidInput, match="has changed since it was shown"):
        list(task.run(Inbox()))


@pytest.mark.soak
def test_that_a_run_is_not_resumed_or_measured_with_another_import(
    net: Path, capfd: Output
) -> None:
    _register(net)
    capfd.readouterr()
    words = ["run", "iris-softmax", "--set", "model.name=own.net", "--steps", "4", "--json"]
    assert main(words) == 0
    run = json.loads(capfd.readouterr().out)["run"]
    with Store.open() as store:
        assert set(store.run(run).files) == {str(net), *(str(net.parent / name) for name in BESIDE)}
        store._connection.execute(*RUNS.update(run, status="stopped"))
        RUNS.write_checksums(store._connection, run)
    (net.parent / "helper.py").write_text("FACTOR = 3.0\n", encoding="utf-8")
    _register(net)
    for words in (["spectrum", run], ["run", "--resume", run]):
        capfd.readouterr()
        assert main(words) == 2
        assert f"{net.parent / 'helper.py'} is not what run {run}" in capfd.readouterr().err
    assert main([*words, "--changed-data"]) == 0


def test_that_a_registration_of_before_is_confirmed_again_where_it_imports(net: Path) -> None:
    _register(net)
    place = records.place()
    text = place.read_text(encoding="utf-8")
    head, _, _ = text.partition("[model.beside]")
    place.write_text(head, encoding="utf-8")
    if "beside" in head:
        pytest.fail(head)
    with pytest.raises(InvalidInput, match="confirm it again"):
        sources.confirmed(records.get("net"))
