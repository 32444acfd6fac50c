"""What of packaging/ can be tested without building: the lock against the recipe, icons'
containers, versions, what is left out.
"""

from __future__ import annotations

import datetime
import importlib.util
import re
import struct
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from optlab import __version__
from optlab.catalogue.datasets import _scikit
from optlab.core import registry

ROOT = Path(__file__).resolve().parents[2]
PACKAGING = ROOT / "packaging"


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A script of packaging/, imported as its neighbors import it."""
    monkeypatch.syspath_prepend(str(PACKAGING))
    spec = importlib.util.spec_from_file_location(f"packaging_{name}", PACKAGING / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.delitem(sys.modules, "prepare", raising=False)
    return module


def pins(path: Path) -> dict[str, str]:
    found = re.findall(
        r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", path.read_text(encoding="utf-8"), re.MULTILINE
    )
    return {
        re.sub(r"[._-]+", "-", name).lower(): version.partition("+")[0] for name, version in found
    }


def test_that_the_lock_holds_the_tested_versions_with_their_hashes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    locked, tested = pins(PACKAGING / "requirements.txt"), pins(ROOT / "constraints.txt")
    assert {name: locked[name] for name in locked.keys() & tested.keys()} == {
        name: tested[name] for name in locked.keys() & tested.keys()
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = load("lock", monkeypatch).wanted(project, project["optional-dependencies"])
    names = {re.sub(r"[._-]+", "-", re.split(r"[<>=!~\[; ]", each)[0]).lower() for each in wanted}
    assert names - set(locked) == set(), "run make lock"
    blocks = re.split(
        r"\n(?=[A-Za-z])", (PACKAGING / "requirements.txt").read_text(encoding="utf-8")
    )[1:]
    assert all("--hash=sha256:" in block for block in blocks)


def test_that_no_address_stands_in_the_lock() -> None:
    assert not re.search(
        r"://|--index|--find-links", (PACKAGING / "requirements.txt").read_text(encoding="utf-8")
    )


def test_that_the_packages_version_is_the_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load("build", monkeypatch).version() == __version__


def test_that_uvs_answer_becomes_one_line_of_torch_a_system(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, two = "a" * 64, "b" * 64
    compiled = (
        f"numpy==2.4.6 \\\n    --hash=sha256:{one}\nnvidia-cublas==1 ; x \\\n    "
        f"--hash=sha256:{one}\n"
        f"torch==2.13.0 ; a or b \\\n    --hash=sha256:{one}\ntorch==2.13.0+cpu ; c \\\n    "
        f"--hash=sha256:{two}\n"
    )
    assert load("lock", monkeypatch).merged(compiled).splitlines()[1:] == [
        "numpy==2.4.6 \\",
        f"    --hash=sha256:{one}",
        "torch==2.13.0 ; sys_platform != 'linux' \\",
        f"    --hash=sha256:{one}",
        "torch==2.13.0+cpu ; sys_platform == 'linux' \\",
        f"    --hash=sha256:{two}",
    ]


def test_that_the_icon_containers_can_be_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    icons = load("icons", monkeypatch)
    pictures = {16: b"sixteen", 256: b"two hundred and fifty-six"}
    ico = icons.ico(pictures)
    assert struct.unpack_from("<HHH", ico) == (0, 1, 2)
    for number, (size, picture) in enumerate(pictures.items()):
        width, _, _, _, _, _, length, place = struct.unpack_from("<BBBBHHII", ico, 6 + 16 * number)
        assert (width or 256, ico[place : place + length]) == (size, picture)
    icns = icons.icns(pictures)
    assert struct.unpack_from(">4sI", icns) == (b"icns", len(icns))
    assert icns[8:23] == b"icp4" + struct.pack(">I", 15) + b"sixteen"


@pytest.mark.parametrize(
    ("name", "source", "out"),
    [
        ("libcairo.so.2", "/usr/lib/x86_64-linux-gnu/libcairo.so.2", True),
        ("libssl.so.3", "/usr/lib/x86_64-linux-gnu/libssl.so.3", False),
        ("PySide6/Qt/lib/libQt6Quick.so.6", "/venv/libQt6Quick.so.6", True),
        ("PySide6/Qt/lib/libQt6Widgets.so.6", "/venv/libQt6Widgets.so.6", False),
        ("PySide6/Qt/plugins/platforms/libqxcb.so", "/venv/libqxcb.so", False),
        ("torch/include/ATen/ATen.h", "/venv/ATen.h", True),
        ("torch/bin/torch_shm_manager", "/venv/torch_shm_manager", False),
        ("optlab/store/migrations/0001.sql", "/checkout/0001.sql", False),
    ],
)
def test_that_a_file_stays_out_or_goes_along(
    monkeypatch: pytest.MonkeyPatch, name: str, source: str, out: bool
) -> None:
    assert load("parts", monkeypatch).left_out(name, source) is out


def test_that_links_to_what_stays_out_stay_out(monkeypatch: pytest.MonkeyPatch) -> None:
    qml, core = "PySide6/Qt/lib/libQt6Qml.so.6", "PySide6/Qt/lib/libQt6Core.so.6"
    table = [
        (qml, "/v/q", "BINARY"),
        (core, "/v/c", "BINARY"),
        ("libQt6Qml.so.6", qml, "SYMLINK"),
        ("libQt6Core.so.6", core, "SYMLINK"),
    ]
    assert [entry[0] for entry in load("parts", monkeypatch).kept(table)] == [
        core,
        "libQt6Core.so.6",
    ]


def test_that_the_package_has_every_table_that_a_data_set_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[str] = []
    original = _scikit.read

    def noted(file: str, **options: object) -> object:
        read.append(file)
        return original(file, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(_scikit, "read", noted)
    monkeypatch.setattr("optlab.catalogue.datasets.diabetes.read", noted)
    import numpy as np

    for name in registry.names("dataset"):
        if "sklearn.datasets.load_" in registry.get("dataset", name).source:
            registry.build("dataset", {"name": name}).examples(np.random.default_rng(0))  # type: ignore[attr-defined]
    assert sorted(read) == sorted(load("parts", monkeypatch).TABLES)


def test_that_a_library_with_a_moved_segment_is_not_taken_for_loadable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    linux = load("linux", monkeypatch)
    assert linux.loadable(Path(sys.executable))
    header = (
        b"\x7fELF"
        + bytes(28)
        + struct.pack("<Q", 64)
        + bytes(14)
        + struct.pack("<HH", 56, 1)
        + bytes(6)
    )
    broken = tmp_path / "broken.so"
    broken.write_bytes(header + struct.pack("<IIQQQQQQ", 1, 5, 0x1008, 0x2000, 0, 8, 8, 0x1000))
    assert len(header) == 64
    assert not linux.loadable(broken)


def test_that_the_changelog_of_the_package_is_that_of_the_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = load("linux", monkeypatch).changes("0.1.0", datetime.date(2026, 11, 22))
    assert text.startswith("optlab (0.1.0) stable; urgency=medium\n\n  * ")
    assert text.endswith("Sun, 22 Nov 2026 12:00:00 +0000\n")
    newest = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").split("\n## ")[1]
    written = "".join(text.split())  # a line may end at any hyphen
    for item in newest.split("\n#")[1].split("\n- ")[1:]:
        assert f"*{''.join(item.split())}".replace("`", "'") in written
    assert max(len(line) for line in text.splitlines()[:-1]) <= 80


def test_that_a_template_with_a_forgotten_place_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "page").write_text("version @VERSION@ of @DATE@")
    filled = load("linux", monkeypatch).filled
    assert filled(tmp_path / "page", VERSION="1", DATE="today") == "version 1 of today"
    with pytest.raises(ValueError, match="@DATE@"):
        filled(tmp_path / "page", VERSION="1")


def test_that_comparisons_need_nothing_that_the_package_leaves_out() -> None:
    """SciPy imports all of NumPy by ``exec``, where nobody who reads imports sees it."""
    code = f"""
import sys
sys.path.insert(0, {str(PACKAGING)!r})
import parts
sys.modules.update(dict.fromkeys(parts.LEFT_OUT))
from optlab.studies.comparison.rule import Rule
from optlab.studies.comparison.samples import Sample
from optlab.studies.comparison.statistics import compare
arms = {{"a": Sample.exact([1, 2, 4]), "b": Sample([0, 5, 1], [0, float("inf"), 1])}}
for arm, method in (("a", "t"), ("a", "bootstrap"), ("b", "auto")):
    rule = Rule("difference", 0.0, method=method, paired=False)
    print(compare(arms, [("a", "<", arm)], rule)[0].method)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [line.split(", ")[-1].split()[0] for line in done.stdout.splitlines()] == [
        "Welch",
        "at",
        "Mann-Whitney",
    ]
