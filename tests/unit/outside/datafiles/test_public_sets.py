"""Public sets: fetched through scikit-learn's loader from a made-up OpenML, never from the network;
then read offline.
"""

from __future__ import annotations

import email.message
import io
import json
import urllib.error
import urllib.request
import urllib.response
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optlab.core import paths, registry
from optlab.core.errors import InvalidInput
from optlab.entry import main
from optlab.experiment import Experiment
from optlab.outside.datafiles import public_sets

ARFF = "@relation toy\n@attribute a numeric\n@attribute color {red,blue}\n@attribute kind {x,y}\n@data\n"
ARFF += "1,red,x\n2.5,blue,y\n?,red,y\n4,?,x\n5,blue,x\n6,red,y\n"


def described() -> dict[str, Any]:
    import hashlib

    def feature(index: int, name: str, kind: str, **more: str) -> dict[str, Any]:
        flags = {
            "is_target": "false",
            "is_ignore": "false",
            "is_row_identifier": "false",
            "number_of_missing_values": "0",
        }
        return {"index": str(index), "name": name, "data_type": kind, **flags, **more}

    features = [
        feature(0, "a", "numeric", number_of_missing_values="1"),
        feature(1, "color", "nominal", nominal_value=["red", "blue"]),  # type: ignore[arg-type]
        feature(2, "kind", "nominal", nominal_value=["x", "y"], is_target="true"),  # type: ignore[arg-type]
    ]
    md5 = hashlib.md5(ARFF.encode(), usedforsecurity=False).hexdigest()
    url = "https://api.openml.org/data/v1/download/7/toy.arff"
    description = {
        "id": "7",
        "name": "toy",
        "version": "2",
        "format": "ARFF",
        "status": "active",
        "url": url,
        "md5_checksum": md5,
        "description": "A toy.",
    }
    return {
        "/data/list/": {
            "data": {
                "dataset": [
                    {"did": 7, "name": "toy", "version": 2, "status": "active", "format": "ARFF"}
                ]
            }
        },
        "/data/features/": {"data_features": {"feature": features}},
        "/data/qualities/": {
            "data_qualities": {"quality": [{"name": "NumberOfInstances", "value": "6.0"}]}
        },
        "/download/": ARFF,
        "/api/v1/json/data/7": {"data_set_description": description},
    }


class MadeUp(urllib.request.BaseHandler):
    """Answers in the place of the network; ``before`` sees every address first."""

    handler_order = 100

    def __init__(self, before: Callable[[str], None]) -> None:
        self.asked: list[str] = []
        self._before = before

    def https_open(self, request: urllib.request.Request) -> Any:
        url = request.full_url
        self.asked.append(url)
        self._before(url)
        answer = next((answer for part, answer in described().items() if part in url), None)
        if answer is None:
            raise urllib.error.HTTPError(
                url,
                412,
                "Precondition Failed",
                email.message.Message(),
                io.BytesIO(b'{"error": {"message": "none"}}'),
            )
        content = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
        headers = email.message.Message()
        headers["Content-Length"] = str(len(content))
        response = urllib.response.addinfourl(io.BytesIO(content), headers, url, 200)
        response.msg = "OK"  # type: ignore[attr-defined]
        return response

    http_open = https_open


@pytest.fixture(name="network")
def _network(monkeypatch: pytest.MonkeyPatch) -> Callable[..., MadeUp]:
    def install(before: Callable[[str], None] = lambda url: None) -> MadeUp:
        made = MadeUp(before)

        def opener(*handlers: urllib.request.BaseHandler) -> urllib.request.OpenerDirector:
            director = urllib.request.OpenerDirector()  # nothing in it that could reach the network
            for handler in (made, urllib.request.HTTPErrorProcessor(), *handlers):
                director.add_handler(handler)
            return director

        monkeypatch.setattr(public_sets, "opener", opener)
        monkeypatch.setattr(public_sets, "RETRIES", 1)
        monkeypatch.setattr(public_sets, "PAUSE", 0.001)
        return made

    return install


def left() -> list[str]:
    return [
        str(path.relative_to(paths.home())) for path in paths.home().rglob("*") if path.is_file()
    ]


def unreachable(url: str) -> None:
    raise urllib.error.URLError(OSError(-2, "Name or service not known"))


def test_that_a_fetched_set_is_read_offline(
    network: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    network()
    assert main(["fetch", "toy", "--version", "2"]) == 0
    output = capsys.readouterr()
    assert "2 classes" in output.out
    assert left() == ["datasets/toy-2.npz"]
    made = network(unreachable)
    dataset: Any = registry.build(
        "dataset", {"name": "openml", "set": "Toy", "version": 2, "missing": "drop"}
    )
    assert (dataset.shape().inputs, dataset.shape().outputs, dataset.shape().task) == (
        (3,),
        2,
        "classes",
    )
    assert list(dataset.input_names()) == ["a", "color=red", "color=blue"] and list(
        dataset.class_names()
    ) == ["x", "y"]
    x, y = dataset.examples(np.random.default_rng(0))
    np.testing.assert_array_equal(x, [[1, 1, 0], [2.5, 0, 1], [5, 0, 1], [6, 1, 0]])
    np.testing.assert_array_equal(y, [0, 1, 0, 1])
    whole = {"validation": 0.0, "test": 0.0, "standardize": False, "missing": "mean"}
    filled: Any = registry.build("dataset", {"name": "openml", "set": "toy", "version": 2, **whole})
    rows = filled.load().training.x.round(9).tolist()
    assert [3.7, 1.0, 0.0] in rows and [4.0, 0.6, 0.4] in rows
    with pytest.raises(InvalidInput, match=r"row 3, column a: the value is missing"):
        registry.build("dataset", {"name": "openml", "set": "toy", "version": 2}).examples(None)  # type: ignore[attr-defined]
    assert made.asked == []


def test_that_without_a_network_one_sentence_says_so_and_nothing_is_kept(
    network: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    network(unreachable)
    assert main(["fetch", "toy"]) == 2
    output = capsys.readouterr()
    assert (
        output.out == ""
        and output.err.count("\n") == 1
        and "is there a network?" in output.err
        and "Traceback" not in output.err
    )
    assert left() == []


def test_that_an_unknown_set_is_reported(
    network: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = network()
    assert made is not None

    def no_list(url: str) -> None:
        if "/data/list/" in url:
            raise urllib.error.HTTPError(
                url, 412, "Precondition Failed", email.message.Message(), io.BytesIO(b"{}")
            )

    network(no_list)
    assert main(["fetch", "nothing-like-it"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "nothing-like-it" in err
    assert left() == []


@pytest.mark.parametrize("how", ["ctrl-c", "progress", "cut off"])
def test_that_what_ends_in_the_middle_leaves_nothing(
    network: Any, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    def cut(url: str) -> None:
        if "/download/" in url:
            if how == "ctrl-c":
                raise KeyboardInterrupt
            raise ConnectionResetError(104, "Connection reset by peer")

    network(cut if how != "progress" else lambda url: None)
    if how == "progress":
        with pytest.raises(InvalidInput, match="canceled"):
            public_sets.fetch("toy", 2, lambda come, whole: come < 800)
    else:
        assert main(["fetch", "toy", "--version", "2"]) == (130 if how == "ctrl-c" else 2)
        assert "Traceback" not in capsys.readouterr().err
    assert left() == []
    assert [path.name for path in public_sets.folder().iterdir()] == []


def test_that_progress_is_reported_with_the_bytes_that_come(network: Any) -> None:
    network()
    reported: list[tuple[int, int | None]] = []
    public_sets.fetch("toy", 2, lambda come, whole: reported.append((come, whole)) is None)
    assert reported == sorted(reported, key=lambda pair: pair[0]) and reported[-1][0] == reported[
        -1
    ][1] > len(ARFF)


@pytest.mark.parametrize(
    ("name", "words"),
    [("toy", "optlab fetch toy --version 1"), ("../evil", "cannot be the name"), ("", "is empty")],
)
def test_that_a_set_that_was_not_fetched_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, words: str
) -> None:
    file = tmp_path / "e.toml"
    file.write_text(
        f'[dataset]\nname = "openml"\nset = "{name}"\n[model]\nname = "linear"\n', encoding="utf-8"
    )
    assert main(["run", str(file)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and words in err
    assert not paths.home().exists()


def test_that_a_damaged_file_asks_to_be_fetched_again(network: Any) -> None:
    network()
    path = public_sets.fetch("toy", 2)
    np.savez(
        path,
        x=np.ones((3, 2)),
        y=np.array([0, 1, 9]),
        input_names=np.array(["a", "b"]),
        class_names=np.array(["p", "q"]),
    )
    with pytest.raises(InvalidInput, match="fetch it again"):
        public_sets.read("toy", 2)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InvalidInput, match="cut off"):
        Experiment.from_dict(
            {"dataset": {"name": "openml", "set": "toy", "version": 2}, "model": {"name": "linear"}}
        )
