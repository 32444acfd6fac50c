"""Files of the user's that are wrong: each ends in exit code 2 and one sentence, without a
traceback, and nothing is written.
"""

from __future__ import annotations

import gzip
import io
import struct
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optlab.core import paths
from optlab.core.errors import InvalidInput
from optlab.entry import main
from optlab.experiment import Experiment
from optlab.outside.datafiles import npz_arrays
from optlab.outside.datafiles.preview import preview
from optlab.outside.own_models import sources

Write = Callable[[Path], object]


def npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, allow_pickle=True, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def npy(header: str, body: bytes = b"", declared: int | None = None) -> bytes:
    encoded = header.encode("latin-1")
    return (
        b"\x93NUMPY\x01\x00"
        + struct.pack("<H", len(encoded) if declared is None else declared)
        + encoded
        + body
    )


def described(
    descr: str = "'<f8'", shape: str = "(3, 2)", more: str = "", order: str = "False"
) -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}{more}}}\n"


def pair(x: bytes) -> bytes:
    """An NPZ file whose ``x`` is as given and whose ``y`` is sound."""
    target = io.BytesIO()
    np.save(target, np.arange(3))
    return zipped({"x.npy": x, "y.npy": target.getvalue()})


X, Y = np.ones((3, 2)), np.array([0, 1, 0])
SOUND = npz(x=X, y=Y)


def bad(value: float, dtype: str = "f8") -> np.ndarray:
    x = np.ones((3, 2), dtype)
    x[1, 0] = value
    return x


def flipped(content: bytes, what: bytes, by: int) -> bytes:
    place = content.index(what) + by
    return content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]


def encrypted(content: bytes) -> bytes:
    """With the flag of encryption set for every member, here and in the directory."""
    out = bytearray(content)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = out.find(signature)
        while place >= 0:
            out[place + offset] |= 1
            place = out.find(signature, place + 1)
    return bytes(out)


def twice() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("x.npy", "y.npy", "z.npy"):
            archive.writestr(name, npy(described("'<f8'", "(1,)"), bytes(8)))
    return file.getvalue().replace(b"z.npy", b"x.npy")


def bomb() -> bytes:
    header = npy(described("'|u1'", f"({100 * 2**20}, 1)"))
    return zipped(
        {"x.npy": header + bytes(100 * 2**20), "y.npy": npy(described("'|u1'", "(3,)"), b"\0\1\0")},
        zipfile.ZIP_DEFLATED,
    )


NPZ: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is no NPZ file"),
    "text": (b"hello, world", "is no NPZ file"),
    "a single array": (npy(described(), bytes(48)), "single array"),
    "cut off": (SOUND[:-40], "is cut off"),
    "only a beginning": (SOUND[:30], "is cut off"),
    "no arrays": (zipped({"readme.txt": b"hello"}), "holds no arrays"),
    "no usual names": (npz(first=X, second=Y), "not clear"),
    "objects": (npz(x=np.array([[{}, 1], [2, 3], [4, 5]], dtype=object), y=Y), "Python objects"),
    "complex": (npz(x=X.astype(complex), y=Y), "is of type"),
    "dates": (npz(x=X.astype("M8[s]"), y=Y), "is of type"),
    "records": (pair(npy(described("[('a', '<f8')]"), bytes(48))), "is of type"),
    "words as inputs": (npz(x=np.array([["a"], ["b"], ["c"]]), y=Y), "holds words"),
    "nan": (npz(x=bad(np.nan), y=Y), "row 2, column 1: nan is not a finite number"),
    "infinity": (npz(x=bad(np.inf, "f4"), y=Y), "row 2, column 1: inf"),
    "a number too large": (npz(x=bad(2**60, "i8"), y=Y), "too large to be exact"),
    "nan in the target": (npz(x=X, y=np.array([0.0, np.nan, 1.0])), "array 'y', row 2: nan"),
    "lengths differ": (npz(x=X, y=np.arange(4)), "has 3 rows, but 'y' has 4"),
    "no rows": (npz(x=np.ones((0, 2)), y=np.ones(0)), "no examples"),
    "one number": (npz(x=np.array(1.0), y=Y), "no examples"),
    "one class": (npz(x=X, y=np.array(["a", "a", "a"])), "one value only"),
    "targets of three axes": (npz(x=X, y=np.ones((3, 1, 1))), "one number a row"),
    "an array twice": (twice(), "twice"),
    "encrypted": (encrypted(SOUND), "encrypted"),
    "packed strangely": (zipped({"x.npy": npy(described(), bytes(48)), "y.npy": b""}, zipfile.ZIP_BZIP2), "NumPy "
        "does "
        "not "
        "use"),
    "a broken value": (flipped(SOUND, b"\x00\x00\xf0\x3f", 2), "damaged"),
    "a header that computes": (pair(npy("__import__('os').getcwd()\n", bytes(48))), "damaged header"),
    "a header nested too deeply": (pair(npy("(" * 3000 + ")" * 3000)), "damaged header"),
    "a header with more in it": (pair(npy(described(more=", 'x': 1"), bytes(48))), "damaged header"),
    "a header longer than allowed": (pair(npy(described(), bytes(48), 20_000)), "header of 20,000 "
        "bytes"),
    "a header cut off": (pair(npy("{'descr'", declared=100)), "damaged header"),
    "a negative shape": (pair(npy(described(shape="(-3, 2)"), bytes(48))), "no shape"),
    "a shape of truth values": (pair(npy(described(shape="(True, 2)"), bytes(48))), "no shape"),
    "a huge claim": (pair(npy(described(shape="(3, 100000000000)"))), "claims to hold"),
    "fewer values than promised": (pair(npy(described(), bytes(40))), "is cut off"),
    "more values than promised": (pair(npy(described(), bytes(50))), "left over"),
    "not by NumPy": (pair(b"\x89PNG\r\n\x1a\n"), "NumPy wrote"),
    "signs that no text has": (pair(npy(described("'<U1'", "(3,)"), b"\xff" * 12)), "no text has"),
    "neither true nor false": (pair(npy(described("'|b1'", "(3, 2)"), b"\2" * 6)), "neither true "
        "nor false"),
}  # fmt: skip


def idx(code: int, *shape: int, body: bytes | None = None) -> bytes:
    return (
        bytes([0, 0, code, len(shape)])
        + struct.pack(f">{len(shape)}I", *shape)
        + (bytes(np.prod(shape)) if body is None else body)
    )


LABELS = idx(8, 3, body=b"\0\1\0")
IMAGES = idx(8, 3, 2, 2)
IDX: dict[str, tuple[bytes | None, bytes | None, str]] = {
    "no images": (None, LABELS, "has no training images"),
    "no labels": (IMAGES, None, "has no training labels"),
    "an empty file": (b"", LABELS, "is no IDX file"),
    "another magic number": (b"\x00\x00\x07\x03" + IMAGES[4:], LABELS, "00 00 07 03"),
    "a picture": (b"\x89PNG\r\n\x1a\n", LABELS, "is no IDX file"),
    "sizes cut off": (IMAGES[:10], LABELS, "within its sizes"),
    "values cut off": (IMAGES[:-1], LABELS, "announces 12 bytes of values, but has 11"),
    "values left over": (IMAGES + b"\0", LABELS, "left over"),
    "no examples": (idx(8, 0, 2, 2), LABELS, "no examples"),
    "a huge claim": (idx(8, 2**31, 28, 28, body=b""), LABELS, "more than the"),
    "fewer labels than images": (IMAGES, idx(8, 2, body=b"\0\1"), "3 images"),
    "labels with two axes": (IMAGES, idx(8, 3, 2), "swapped"),
    "one class": (IMAGES, idx(8, 3), "one value only"),
    "labels that are no classes": (IMAGES, idx(0x0D, 3, body=struct.pack(">3f", 0, 1, 0.5)), "no "
        "class"),
    "nan": (idx(0x0D, 3, 1, body=struct.pack(">3f", 0, float("nan"), 1)), LABELS, "row 2, column "
        "1: nan"),
    "gzip cut off": (gzip.compress(IMAGES)[:-4], LABELS, "is damaged"),
    "gzip with a wrong checksum": (gzip.compress(IMAGES)[:-6] + b"\1\2\3\4\5\6", LABELS, "is "
        "damaged"),
    "gzip of noise": (b"\x1f\x8b" + bytes(range(60)), LABELS, "is damaged"),
    "a gzip bomb": (gzip.compress(idx(8, 2**24, 2, 4, body=bytes(1000))), LABELS, "too few even "
        "packed"),
}  # fmt: skip


TABLES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "one column": (b"a\n1\n2\n", "one column"),
    "ragged": (b"a,b,c\n1,2,3\n4,5\n", "line 3"),
    "a word among numbers": (b"a,b,t\n" + 3 * b"1,2,0\n3,4,1\n" + b"1,oops,1\n", "line 8, column "
        "'b': 'oops' is not a number"),
    "missing": (b"a,b,t\n1,,0\n1,2,1\n", "missing"),
    "no UTF-8 although it says so": (b"\xef\xbb\xbfa,t\n1,caf\xe9\n2,x\n", "line 2: this is not UTF-8"),
    "UTF-16 that does not say so": ("a,t\n1,x\n2,y\n".encode("utf-16-le"), "text file"),
    "UTF-16 cut off": ("a,t\n1,x\n2,y\n".encode("utf-16")[:-1], "this is not UTF-16"),
    "a spreadsheet": (zipped({"xl/workbook.xml": b"<x/>"}), "no arrays"),
    "a Parquet table": (b"PAR1" + bytes(range(128)), "save it as CSV"),
    "an open quote": (b'a,t\n"1,2\n3,4\n', "quotes"),
    "too few to train on": (b"a,t\n1,x\n", "one value only"),
}  # fmt: skip

MODELS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "no class derived"),
    "not Python": (b"import torch\nclass Net(:\n", "line 2"),
    "binary": (bytes(range(256)), "not Python"),
    "zero bytes": (b"import\0torch", "not Python"),
    "no model": (b"class A: pass\n", "no class derived"),
    "two models": (b"from torch import nn\nclass A(nn.Module): pass\nclass B(nn.Module): pass\n", "several "
        "models "
        "(A, "
        "B)"),
    "nested too deeply": (b"x = " + b"(" * 5000 + b")" * 5000, "not Python"),
    "an error at the top": (b"from torch import nn\nclass A(nn.Module): pass\n1 / 0\n", "ZeroDivisionError"),
    "a module that is not there": (b"import no_such_module\nclass A(no_such_module.Module): pass\n", "no_such_module"),
    "leaves Python": (b"from torch import nn\nclass A(nn.Module): pass\nraise SystemExit(3)\n", "SystemExit"),
    "no model after all": (b"class Module: pass\nclass A(Module): pass\n", "torch.nn.Module"),
    "an empty class": (b"import torch\nclass A(torch.nn.Module):\n    pass\n", "no parameters"),
}  # fmt: skip


def check(
    arguments: list[str],
    reported: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    lines: int = 1,
) -> None:
    """Exit code 2, one sentence that says ``reported``, nothing written anywhere."""
    before = sorted(folder.rglob("*"))
    assert main(arguments) == 2
    output = capsys.readouterr()
    assert output.out == "" and "Traceback" not in output.err
    assert len(output.err.splitlines()) == lines and output.err.endswith(
        ".\n" if lines == 1 else "\n"
    )
    assert reported in output.err.splitlines()[-1]
    assert sorted(folder.rglob("*")) == before and not paths.home().exists()


def experiment(folder: Path, dataset: str) -> str:
    file = folder / "experiment.toml"
    file.write_text(f'[dataset]\n{dataset}\n[model]\nname = "linear"\n', encoding="utf-8")
    return str(file)


@pytest.mark.parametrize("case", NPZ)
def test_that_a_wrong_npz_file_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    content, reported = NPZ[case]
    path = tmp_path / "data.npz"
    path.write_bytes(content)
    check(
        ["run", experiment(tmp_path, f"name = 'npz_file'\npath = '{path}'")],
        reported,
        tmp_path,
        capsys,
    )
    check(["import", str(path), "--to", str(tmp_path / "new.toml")], "data.npz", tmp_path, capsys)


def test_that_what_unpacks_to_far_more_than_it_is_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bomb.npz"
    path.write_bytes(bomb())
    monkeypatch.setattr(npz_arrays.np, "empty", lambda *_: pytest.fail("room was made for it"))
    with pytest.raises(InvalidInput, match="500 times"):
        npz_arrays.read_array(path, "x")


@pytest.mark.parametrize("case", IDX)
def test_that_wrong_idx_files_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    images, labels, reported = IDX[case]
    folder = tmp_path / "digits"
    folder.mkdir()
    for name, content in (("train-images-idx3-ubyte", images), ("train-labels-idx1-ubyte", labels)):
        if content is not None:
            (folder / name).write_bytes(content)
    check(
        ["run", experiment(tmp_path, f"name = 'idx_files'\nimages = '{folder}'")],
        reported,
        tmp_path,
        capsys,
    )
    check(
        ["import", str(folder), "--to", str(tmp_path / "new.toml")], str(folder), tmp_path, capsys
    )


@pytest.mark.parametrize("case", TABLES)
def test_that_a_wrong_table_is_not_imported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    content, reported = TABLES[case]
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    check(["import", str(path), "--to", str(tmp_path / "new.toml")], reported, tmp_path, capsys)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=[pytest.mark.soak] if place % 3 else [])
        for place, case in enumerate(MODELS)
    ],
)
def test_that_a_wrong_model_file_is_not_registered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    content, reported = MODELS[case]
    path = tmp_path / "net.py"
    path.write_bytes(content)
    before = sorted(tmp_path.rglob("*"))
    assert main(["model", "register", str(path), "--yes"]) == 2
    output = capsys.readouterr()
    assert output.out == "" and "Traceback" not in output.err
    assert reported in output.err.splitlines()[-1] and str(path) in output.err.splitlines()[-1]
    assert sorted(tmp_path.rglob("*")) == before and not paths.home().exists()


@pytest.mark.parametrize(
    ("dataset", "reported"),
    [
        ("name = 'npz_file'", "dataset.path is empty"),
        ("name = 'npz_file'\npath = 'nowhere.npz'", "cannot be read"),
        ('name = "npz_file"\npath = "zero\\u0000byte"', "cannot be read"),
        ('name = "csv_file"\npath = "zero\\u0000byte"', "cannot be read"),
        ("name = 'npz_file'\npath = '.'", "cannot be read"),
        ("name = 'idx_files'", "dataset.images is empty"),
        ("name = 'idx_files'\nimages = 'nowhere'", "No file of labels"),
        (
            'name = "idx_files"\nimages = "zero\\u0000byte"\nlabels = "zero\\u0000byte"',
            "cannot be read",
        ),
        ("name = 'openml'", "dataset.set is empty"),
        ("name = 'openml'\nset = 'a/b'", "cannot be the name"),
        ("name = 'own'", "no dataset is called that"),
    ],
)
def test_that_an_experiment_about_such_files_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], dataset: str, reported: str
) -> None:
    check(["run", experiment(tmp_path, dataset)], reported, tmp_path, capsys)


@pytest.mark.parametrize(
    ("arguments", "reported"),
    [
        (["import", "nowhere.csv"], "cannot be read"),
        (["import", "{good}", "--target", "oops"], "no column 'oops'"),
        (["import", "{good}", "--to", "{good}"], "already exists"),
        (["import", "{good}", "--to", "nowhere/new.toml"], "no folder"),
        (["model", "register", "nowhere.py", "--yes"], "cannot be read"),
        (["model", "register", "no.such.module", "--yes"], "no module that can be imported"),
        (["model", "register", "not a name", "--yes"], "neither a Python file"),
        (["model", "forget", "nothing"], "No model 'nothing'"),
        (["fetch", "../evil"], "cannot be the name"),
        (["fetch", "iris", "--version", "0"], "--version is 0"),
    ],
)
def test_that_wrong_usage_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], reported: str
) -> None:
    good = tmp_path / "good.csv"
    good.write_text("a,b,t\n1,2,x\n2,3,y\n", encoding="utf-8")
    check([word.format(good=good) for word in arguments], reported, tmp_path, capsys)


STARTS = [
    b"",
    b"PK\x03\x04",
    SOUND[:200],
    SOUND,
    b"\x93NUMPY\x01\x00",
    b"\0\0\x08\x03",
    IMAGES[:16],
    b"\x1f\x8b\x08\0",
    b"a,b\n1,2\n",
]


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(STARTS),
    st.binary(max_size=300),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=6),
)
def test_that_no_bytes_whatever_end_in_anything_but_a_sentence(
    start: bytes, rest: bytes, changes: list[tuple[int, int]]
) -> None:
    content = bytearray(start + rest)
    for place, value in changes:
        if content:
            content[place % len(content)] = value
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(content)
        seen = preview(path)
        assert "\n" not in seen.problem
        idx_files = {"name": "idx_files", "images": str(path), "labels": str(path)}
        for dataset in (
            {"name": "csv_file", "path": str(path)},
            {"name": "npz_file", "path": str(path)},
            idx_files,
        ):
            try:
                Experiment.from_dict({"dataset": dataset, "model": {"name": "linear"}})
            except InvalidInput as error:
                assert "\n" not in str(error)
        try:
            sources.find(str(path.rename(path.with_suffix(".py"))))
        except InvalidInput as error:
            assert "\n" not in str(error)
