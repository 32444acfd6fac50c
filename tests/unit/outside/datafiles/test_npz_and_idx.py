"""NPZ and IDX files: read as NumPy reads them, and what the sets that use them make of them."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optlab.core import registry
from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment
from optlab.outside.datafiles.idx_arrays import read_idx
from optlab.outside.datafiles.npz_arrays import entries, read_array, read_examples
from optlab.outside.datafiles.preview import preview
from optlab.training import events
from optlab.training.control import Inbox
from optlab.training.session import session

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx(array: np.ndarray) -> bytes:
    """An array as the IDX format has it, written from the format's description alone."""
    code = CODES[array.dtype.str[1:]]
    return (
        bytes([0, 0, code, array.ndim])
        + struct.pack(f">{array.ndim}I", *array.shape)
        + array.astype(array.dtype.newbyteorder(">")).tobytes()
    )


def build(**values: Any) -> Any:
    return registry.build("dataset", values)


@pytest.mark.parametrize("pack", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("dtype", ["bool", "<u1", "<i8", ">i2", "<f2", ">f4", "<f8", "<U3", ">U2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_that_an_array_is_read_as_numpy_reads_it(
    tmp_path: Path, pack: Any, dtype: str, order: Any
) -> None:
    array = np.asarray(np.arange(24).reshape(4, 3, 2) % 7, dtype=dtype, order=order)
    pack(tmp_path / "a.npz", a=array, b=np.zeros(0))
    read = read_array(tmp_path / "a.npz", "a")
    np.testing.assert_array_equal(read, array)
    assert read.flags.c_contiguous and read.dtype.isnative
    assert entries(tmp_path / "a.npz")["a"].shape == (4, 3, 2)


@pytest.mark.parametrize(
    ("y", "task", "classes"),
    [
        (np.array([1, 5, 1]), "classes", ("1", "5")),
        (np.array([[1.0], [5.0], [1.0]]), "classes", ("1", "5")),
        (np.array(["b", "a", "b"]), "classes", ("a", "b")),
        (np.array([True, False, True]), "classes", ("False", "True")),
        (np.array([0.5, 1.5, 2.5]), "regression", ()),
        (np.ones((3, 2)), "regression", ()),
    ],
)
def test_that_the_task_follows_the_targets(
    tmp_path: Path, y: np.ndarray, task: str, classes: tuple[str, ...]
) -> None:
    np.savez(tmp_path / "a.npz", X=np.ones((3, 4)), y=y)
    found = read_examples(tmp_path / "a.npz")
    assert (found.task, found.class_names) == (task, classes)
    assert found.y.shape == ((3,) if task == "classes" else (3, 2 if y.ndim == 2 else 1))
    if classes:
        assert [classes[number] for number in found.y] == [
            str(v.item() if v.dtype.kind != "f" else int(v)) for v in y.ravel()
        ]


def test_that_many_integers_without_a_gap_are_classes_and_others_are_not(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.ones(50), y=np.arange(50))
    assert read_examples(tmp_path / "a.npz").task == "classes"
    np.savez(tmp_path / "b.npz", x=np.ones(50), y=2 * np.arange(50))
    assert read_examples(tmp_path / "b.npz").task == "regression"
    assert read_examples(tmp_path / "b.npz", task="classes").outputs == 50


def test_that_an_npz_file_trains(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 1, 2)).astype(np.float32)
    np.savez(tmp_path / "a.npz", points=x, side=np.where(x[:, 0, 0] > 0, "right", "left"))
    asked = Experiment.from_dict(
        {
            "dataset": {
                "name": "npz_file",
                "path": str(tmp_path / "a.npz"),
                "x": "points",
                "y": "side",
            },
            "model": {"name": "linear"},
            "optimizer": {"name": "sgd", "lr": 0.5},
            "budget": {"steps": 200},
        }
    )
    assert asked.dataset.shape().inputs == (1, 2) and list(asked.dataset.class_names()) == [
        "left",
        "right",
    ]
    (ended,) = [event for event in session([asked], Inbox()) if isinstance(event, events.RunEnded)]
    assert ended.final["validation_error"] is not None and ended.final["validation_error"] <= 0.05


@pytest.mark.parametrize("dtype", CODES)
@pytest.mark.parametrize("packed", [False, True])
def test_that_an_idx_file_is_read_as_it_was_written(
    tmp_path: Path, dtype: str, packed: bool
) -> None:
    array = np.arange(30).reshape(5, 3, 2).astype(dtype)
    (tmp_path / "a").write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    np.testing.assert_array_equal(read_idx(tmp_path / "a"), array)
    np.testing.assert_array_equal(read_idx(tmp_path / "a", most=2), array[:2])


def folder_of_digits(
    folder: Path, test: bool = True, packed: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    images, labels = (
        rng.integers(0, 256, (40, 4, 3)).astype("u1"),
        (np.arange(40) % 3 + 4).astype("u1"),
    )
    for part, rows in (("train", slice(0, 30)), ("t10k", slice(30, 40)))[: 2 if test else 1]:
        for what, number, array in (("images", 3, images[rows]), ("labels", 1, labels[rows])):
            name, content = f"{part}-{what}-idx{number}-ubyte", idx(array)
            (folder / (name + ".gz" if packed else name)).write_bytes(
                gzip.compress(content) if packed else content
            )
    return images, labels


@pytest.mark.parametrize("packed", [False, True])
def test_that_a_folder_of_mnist_files_gives_its_own_test_part(tmp_path: Path, packed: bool) -> None:
    images, labels = folder_of_digits(tmp_path, packed=packed)
    data = build(name="idx_files", images=str(tmp_path), standardize=False).load()
    assert (data.shape.inputs, data.shape.outputs, data.class_names) == ((4, 3), 3, ("4", "5", "6"))
    assert (len(data.training), len(data.validation), len(data.test)) == (24, 6, 10)
    np.testing.assert_array_equal(data.test.x, images[30:])
    np.testing.assert_array_equal(data.test.y, labels[30:] - 4)
    standardized = build(name="idx_files", images=str(tmp_path)).load()
    np.testing.assert_allclose(
        standardized.test.x * standardized.scale + standardized.offset, images[30:], atol=1e-9
    )


def test_that_without_a_test_pair_the_share_is_drawn(tmp_path: Path) -> None:
    folder_of_digits(tmp_path, test=False)
    for images in (tmp_path, tmp_path / "train-images-idx3-ubyte.gz"):
        data = build(name="idx_files", images=str(images)).load()
        assert (len(data.training), len(data.validation), len(data.test)) == (18, 6, 6)


def test_that_a_test_part_without_every_class_keeps_the_numbers_of_the_classes(
    tmp_path: Path,
) -> None:
    folder_of_digits(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(
        gzip.compress(idx(np.full(10, 6, "u1").astype("u1") - np.arange(10, dtype="u1") % 2))
    )
    assert set(build(name="idx_files", images=str(tmp_path)).load().test.y.tolist()) == {1, 2}
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(
        gzip.compress(idx(np.arange(10, dtype="u1")))
    )
    with pytest.raises(InvalidInput, match="the class 0 of its labels"):
        build(name="idx_files", images=str(tmp_path)).load()


def one_hot(folder: Path, y: Any) -> Path:
    path = folder / "one_hot.npz"
    np.savez(path, x=np.arange(12.0).reshape(6, 2), y=y)
    return path


@pytest.mark.parametrize("kind", ["float64", "int64", "bool"])
def test_that_one_hot_targets_are_classes(tmp_path: Path, kind: str) -> None:
    path = one_hot(tmp_path, np.eye(3)[[2, 0, 1, 1, 0, 2]].astype(kind))
    found = read_examples(path, "x", "y", "auto")
    assert found.class_names == ("0", "1", "2")
    np.testing.assert_array_equal(found.y, [2, 0, 1, 1, 0, 2])
    (note,) = preview(path).notes
    assert "one-hot" in note and "dataset.task to regression" in note


@pytest.mark.parametrize("change", ["two ones", "no one", "half", "an empty class"])
def test_that_what_is_not_one_hot_stays_a_regression(tmp_path: Path, change: str) -> None:
    y = np.eye(3)[[2, 0, 1, 1, 0, 2]]
    if change == "an empty class":
        y = np.eye(4)[[2, 0, 1, 1, 0, 2]]
    else:
        y[0] = {"two ones": [1, 0, 1], "no one": [0, 0, 0], "half": [0.5, 0.5, 0]}[change]
    path = one_hot(tmp_path, y)
    assert read_examples(path, "x", "y", "auto").task == "regression"
    assert preview(path).notes == ()
    with pytest.raises(InvalidInput, match="not one-hot"):
        read_examples(path, "x", "y", "classes")


def test_that_one_hot_numbers_can_be_a_regression(tmp_path: Path) -> None:
    path = one_hot(tmp_path, np.eye(3)[[2, 0, 1, 1, 0, 2]])
    found = read_examples(path, "x", "y", "regression")
    assert (found.task, found.y.shape) == ("regression", (6, 3))
    assert preview(path, task="regression").notes == ()
