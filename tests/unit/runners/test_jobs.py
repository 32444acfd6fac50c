"""Jobs become events, and so do their errors."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from optlab.core import registry
from optlab.runners.jobs import TrainJob, perform
from optlab.tasks.preview import DatasetPreview, PreviewTask
from optlab.training.control import Inbox, SetValue
from optlab.training.events import MessageApplied, RunEnded, SessionEnded, SessionFailed, TaskResult


def _preview(**dataset: object) -> DatasetPreview:
    events = list(perform(PreviewTask(dataset), Inbox()))
    assert len(events) == 1 and isinstance(events[0], TaskResult)
    assert isinstance(events[0].value, DatasetPreview)
    return events[0].value


def test_that_a_training_job_ends_with_its_result(short):
    events = list(perform(short, Inbox()))
    assert isinstance(events[-1], SessionEnded)
    assert [event.status for event in events if isinstance(event, RunEnded)] == ["finished"]


def test_that_the_log_is_applied_at_its_steps(short):
    job = TrainJob(
        short.experiments,
        None,
        ((120, SetValue("optimizer.lr", 0.5)), (7, SetValue("optimizer.lr", 0.25))),
    )
    applied = [event for event in perform(job, Inbox()) if isinstance(event, MessageApplied)]
    assert applied == [
        MessageApplied(7, SetValue("optimizer.lr", 0.25)),
        MessageApplied(120, SetValue("optimizer.lr", 0.5)),
    ]


def test_that_an_error_of_the_user_is_told_without_a_traceback():
    events = list(perform(TrainJob(("[model]\nname = 'mlp'\n",)), Inbox()))
    assert len(events) == 1 and isinstance(events[0], SessionFailed)
    assert "[dataset] is missing" in events[0].message and events[0].detail == ""


def test_that_a_defect_is_told_with_its_traceback():
    events = list(perform(TrainJob((None,)), Inbox()))  # type: ignore[arg-type]
    assert len(events) == 1 and isinstance(events[0], SessionFailed)
    assert "unexpected" in events[0].message and "Traceback" in events[0].detail


def test_that_digits_are_shown_as_the_images_of_the_source():
    seen = _preview(name="digits")
    assert seen.sample == "images" and seen.x.shape == (20, 8, 8) and len(seen.y) == 20
    x, y = load_digits(return_X_y=True)
    source = {image.tobytes(): label for image, label in zip(x, y, strict=True)}
    for image, label in zip(seen.x, seen.y, strict=True):
        assert source[(np.round(image) + 0.0).ravel().tobytes()] == label
        np.testing.assert_allclose(image, np.round(image), atol=1e-9)
    assert seen.class_counts == tuple(np.bincount(y)) and sum(seen.counts.values()) == 1797
    assert (seen.inputs, seen.outputs, seen.task, seen.class_names) == (
        (8, 8),
        10,
        "classes",
        tuple("0123456789"),
    )


def test_that_points_in_the_plane_are_shown_as_they_are():
    seen = _preview(name="moons", size=5000)
    data = registry.build("dataset", {"name": "moons", "size": 5000}).load()
    assert seen.sample == "points"
    np.testing.assert_array_equal(seen.x, data.training.x[:1000])
    np.testing.assert_array_equal(seen.y, data.training.y[:1000])
    assert seen.counts == {"training": 3000, "validation": 1000, "test": 1000}


def test_that_wider_data_are_shown_in_the_plane_of_their_principal_components():
    seen = _preview(name="diabetes")
    data = registry.build("dataset", {"name": "diabetes"}).load()
    batch_objective = PCA(2).fit(data.training.x)
    points = batch_objective.transform(data.training.x)
    assert seen.sample == "components"
    # The sign of a component is free.
    np.testing.assert_allclose(np.abs(seen.x), np.abs(points), atol=1e-9)
    np.testing.assert_allclose(seen.explained, batch_objective.explained_variance_ratio_, rtol=1e-9)
    assert seen.y.shape == (len(points), 1) and seen.class_counts == ()


def test_that_a_preview_of_nothing_is_an_error_in_words():
    events = list(perform(PreviewTask({"name": "no such"}), Inbox()))
    assert (
        len(events) == 1 and isinstance(events[0], SessionFailed) and "no such" in events[0].message
    )


@pytest.mark.parametrize("name", registry.names("dataset"))
def test_that_every_dataset_that_loads_has_a_preview(name):
    events = list(perform(PreviewTask({"name": name}), Inbox()))
    # A data set that reads a file asks for one.
    assert isinstance(events[0], TaskResult) or (
        isinstance(events[0], SessionFailed) and not events[0].detail
    )
