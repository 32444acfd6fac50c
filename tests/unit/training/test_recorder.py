"""The recorder: what was taken comes out once, as series."""

from __future__ import annotations

import hashlib
import struct
from typing import Any

import torch

from optlab.catalogue.measures.base import Step
from optlab.core import registry
from optlab.training.recorder import Recorder
from optlab.training.snapshot import theta_sha256


def measures(*names: str) -> list[Any]:
    return [registry.get("measure", name)() for name in names]


def step(number: int, runs: int = 2, tracked: int = 3) -> Step:
    theta = torch.arange(float(runs * 4)).view(runs, 4) + number
    return Step(
        loss=torch.full((runs,), float(number)),
        gradient=theta,
        gradient_norm=torch.linalg.vector_norm(theta, dim=1),
        before=theta,
        after=theta + 2.0,
        rate=torch.full((runs,), 0.5),
        tracked=torch.arange(tracked),
    )


def test_that_rows_come_out_once_with_their_steps() -> None:
    recorder = Recorder(measures("batch_loss", "update_norm", "weights"))
    for number in (5, 6, 7):
        row = recorder.record(number, step(number))
        assert row.shape == (2, 2)
    assert len(recorder) == 3
    found = recorder.flush()
    assert found["batch_loss"].steps.tolist() == [5, 6, 7]
    assert found["batch_loss"].values.tolist() == [[5.0, 5.0], [6.0, 6.0], [7.0, 7.0]]
    assert found["update_norm"].values.tolist() == [[4.0, 4.0]] * 3
    assert found["weights"].values.shape == (3, 2, 3)
    assert found["weights"].values[1, 1].tolist() == [12.0, 13.0, 14.0]
    assert recorder.flush() == {}
    recorder.record(8, step(8))
    assert recorder.flush()["batch_loss"].steps.tolist() == [8]


def test_that_without_followed_weights_there_is_no_such_series() -> None:
    recorder = Recorder(measures("batch_loss", "weights"))
    recorder.record(1, step(1, tracked=0))
    assert set(recorder.flush()) == {"batch_loss"}


def test_that_values_measured_occasionally_keep_their_own_steps() -> None:
    recorder = Recorder(measures("batch_loss"))
    recorder.add("train_loss", 0, torch.tensor([1.0, 2.0]))
    recorder.add("train_loss", 50, torch.tensor([0.5, 1.0]))
    found = recorder.flush()
    assert set(found) == {"train_loss"}
    assert found["train_loss"].steps.tolist() == [0, 50]
    assert found["train_loss"].values.tolist() == [[1.0, 2.0], [0.5, 1.0]]


def test_that_rows_after_a_step_are_dropped_from_all_series() -> None:
    recorder = Recorder(measures("batch_loss", "weights"))
    for number in range(10, 20):
        recorder.record(number, step(number))
    recorder.drop_after(12)
    found = recorder.flush()
    assert found["batch_loss"].steps.tolist() == [10, 11, 12]
    assert found["weights"].values.shape[0] == 3


def test_that_the_hash_of_parameters_is_of_their_little_endian_bytes() -> None:
    theta = torch.tensor([1.0, -2.5, 3.25], dtype=torch.float64).numpy()
    assert (
        theta_sha256(theta) == theta_sha256(theta.astype(">f8")) == theta_sha256(theta[::-1][::-1])
    )
    assert theta_sha256(theta) != theta_sha256(theta.astype("<f4"))
    assert theta_sha256(theta) == hashlib.sha256(struct.pack("<3d", 1.0, -2.5, 3.25)).hexdigest()
