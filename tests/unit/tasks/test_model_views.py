"""Views of a model, compared with a forward pass in plain torch and with scikit-learn's numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment
from optlab.tasks.decision_region import RegionView
from optlab.tasks.hard_examples import ExamplesView
from optlab.tasks.model_point import ModelPoint, model_point
from optlab.tasks.network_sketch import UNITS, SketchView, shown_units
from optlab.training.trainer import Trainer

MOONS: dict[str, Any] = {
    "dataset": {"name": "spirals", "size": 90, "arms": 3, "validation": 0.3, "test": 0.2},
    "model": {"name": "mlp", "hidden": [7], "activation": "tanh"},
    "optimizer": {"name": "adam", "lr": 0.05},
    "budget": {"steps": 40},
}


def point_of(steps: int = 40, **sections: Any) -> ModelPoint:
    experiment = Experiment.from_dict({**MOONS, **sections})
    trainer = Trainer([experiment])
    for _ in range(steps):
        trainer.advance()
    return model_point(experiment, trainer.theta[0].numpy(), steps)


def plain(point: ModelPoint, x: np.ndarray) -> torch.Tensor:
    """The outputs of the small MLP, from its tensors alone."""
    values = point.theta[0]
    w1, b1 = values[:14].reshape(7, 2), values[14:21]
    w2, b2 = values[21:42].reshape(3, 7), values[42:45]
    return torch.tanh(torch.from_numpy(x) @ w1.T + b1) @ w2.T + b2


def test_that_a_region_has_the_probabilities_of_plain_torch_at_its_own_coordinates():
    point = point_of()
    region = RegionView(points=9).compute(point)
    assert region.probabilities.shape == (9, 9, 3) and region.margins.shape == (3, 9, 9)
    for row, column in [(0, 8), (8, 0), (2, 5)]:
        raw = np.array([region.first[column], region.second[row]])
        x = (raw - point.data.offset) / point.data.scale
        outputs = plain(point, x[None])[0]
        expected = torch.softmax(outputs, dim=0).numpy()
        np.testing.assert_allclose(region.probabilities[row, column], expected, atol=1e-6)
        for number in range(3):
            others = outputs[[other for other in range(3) if other != number]]
            assert region.margins[number, row, column] == pytest.approx(
                float(outputs[number] - others.max()), abs=1e-5
            )
    np.testing.assert_array_equal(region.predicted, region.probabilities.argmax(axis=2))


def test_that_a_part_of_the_plane_has_the_predictions_of_plain_torch_where_it_was_asked_for():
    point = point_of()
    area = (-0.4, 0.1, 0.2, 2.5)
    region = RegionView(points=6, area=area).compute(point)
    assert not region.whole and RegionView(points=6).compute(point).whole
    np.testing.assert_allclose(region.first, np.linspace(-0.4, 0.1, 6), atol=1e-12)
    np.testing.assert_allclose(region.second, np.linspace(0.2, 2.5, 6), atol=1e-12)
    raw = np.array([region.first[4], region.second[1]])
    outputs = plain(point, ((raw - point.data.offset) / point.data.scale)[None])[0]
    expected = torch.softmax(outputs, dim=0).numpy()
    np.testing.assert_allclose(region.probabilities[1, 4], expected, atol=1e-6)
    for wrong in ((1.0, 1.0, 0.0, 1.0), (0.0, float("inf"), 0.0, 1.0)):
        with pytest.raises(InvalidInput, match=r"--area is .*four numbers"):
            RegionView(area=wrong).compute(point)


def test_that_the_points_of_a_region_are_those_of_training_and_validation_and_no_others():
    point = point_of()
    training, validation = RegionView(points=5).compute(point).points
    assert (training.part, validation.part) == ("training", "validation")
    assert training.total + validation.total + len(point.data.test) == 90
    for drawn in (training, validation):
        part = point.part(drawn.part)
        np.testing.assert_allclose(drawn.x, part.x * point.data.scale + point.data.offset)
        np.testing.assert_array_equal(drawn.y, part.y)
        assert drawn.wrong.any() and not drawn.wrong.all()
        np.testing.assert_array_equal(drawn.wrong, plain(point, part.x).argmax(1).numpy() != part.y)


def test_that_a_region_of_regression_has_values_and_one_of_more_inputs_is_refused():
    point = point_of(
        dataset={"name": "least_squares", "dimension": 2, "size": 40, "validation": 0.2},
        model={"name": "linear"},
        loss={"name": "squared_error"},
    )
    region = RegionView(points=4).compute(point)
    raw = np.array([region.first[3], region.second[1]])
    x = (raw - point.data.offset) / point.data.scale
    weight, bias = point.theta[0, :2].numpy(), float(point.theta[0, 2])
    assert region.values[1, 3] == pytest.approx(x @ weight + bias)
    assert region.probabilities is None and region.margins.size == 0
    four = point_of(steps=0, dataset={"name": "iris"})
    with pytest.raises(InvalidInput, match=r"two inputs.* has 4"):
        RegionView().compute(four)


@pytest.mark.parametrize("part", ["training", "validation"])
def test_that_wrong_examples_and_the_confusion_matrix_are_those_of_a_library(part):
    from sklearn.metrics import confusion_matrix, recall_score

    point = point_of(steps=25)
    found = ExamplesView(part, count=5).compute(point)
    data = point.part(part)
    outputs = plain(point, data.x)
    losses = torch.nn.functional.cross_entropy(
        outputs, torch.from_numpy(data.y), reduction="none"
    ).numpy()
    predicted = outputs.argmax(1).numpy()
    np.testing.assert_array_equal(found.confusion, confusion_matrix(data.y, predicted))
    np.testing.assert_allclose(found.recall, recall_score(data.y, predicted, average=None))
    assert not np.array_equal(found.confusion, found.confusion.T), "swapped axes would go unseen"
    wrong = np.flatnonzero(predicted != data.y)
    assert (found.examples, found.wrong) == (len(data), len(wrong))
    assert found.loss == pytest.approx(losses.mean())
    expected = sorted(wrong, key=lambda number: -losses[number])[:5]
    np.testing.assert_array_equal(found.indices, expected)
    np.testing.assert_allclose(found.losses, losses[expected])
    np.testing.assert_array_equal(found.targets, data.y[expected])
    np.testing.assert_array_equal(found.predicted, predicted[expected])
    np.testing.assert_allclose(found.chances, np.exp(-losses[expected]), rtol=1e-6)
    np.testing.assert_allclose(found.inputs, point.raw(data.x[expected]))


def test_that_examples_of_regression_are_those_with_the_largest_loss():
    point = point_of(
        steps=3,
        dataset={"name": "diabetes", "validation": 0.0},
        model={"name": "linear"},
        loss={"name": "squared_error"},
    )
    found = ExamplesView(count=4).compute(point)
    assert found.part == "training" and found.wrong == 0 and found.confusion.size == 0
    data = point.data.training
    values = data.x @ point.theta[0, :-1].numpy() + float(point.theta[0, -1])
    squares = (values - data.y.reshape(-1)) ** 2
    np.testing.assert_array_equal(found.indices, np.argsort(-squares)[:4])
    np.testing.assert_allclose(found.predicted[:, 0], values[found.indices])
    with pytest.raises(InvalidInput, match="no validation part"):
        ExamplesView("validation").compute(point)


def test_that_a_class_without_examples_has_no_recall_and_pictures_are_recognized():
    point = point_of(steps=0, dataset={"name": "digits"}, model={"name": "linear"})
    found = ExamplesView(count=2).compute(point)
    assert found.pictures and found.inputs.shape == (2, 8, 8) and found.inputs.max() <= 16.0
    from optlab.tasks.hard_examples import recall

    shares = recall(np.array([[2, 1], [0, 0]]))
    assert shares[0] == pytest.approx(2 / 3) and np.isnan(shares[1])


def test_that_a_sketch_has_the_weights_and_activations_of_plain_torch():
    point = point_of()
    sketch = SketchView("training", example=4).compute(point)
    inputs, hidden, outputs = sketch.layers
    assert [layer.units for layer in sketch.layers] == [2, 7, 3]
    assert [layer.kind for layer in sketch.layers] == ["input", "units", "output"]
    assert [layer.parameters for layer in sketch.layers] == [0, 21, 24]
    assert sketch.parameters == 45
    assert outputs.labels == ("arm 0", "arm 1", "arm 2") and inputs.labels == ()
    x = point.data.training.x[4]
    values = point.theta[0].numpy()
    np.testing.assert_allclose(inputs.activations, x)
    np.testing.assert_allclose(hidden.weights, values[:14].reshape(7, 2))
    np.testing.assert_allclose(
        hidden.activations, np.tanh(values[:14].reshape(7, 2) @ x + values[14:21])
    )
    np.testing.assert_allclose(outputs.activations, plain(point, x[None])[0].numpy())
    mean = SketchView("training").compute(point).layers[2].activations
    np.testing.assert_allclose(mean, plain(point, point.data.training.x).mean(0).numpy())


def test_that_a_wide_layer_is_thinned_evenly_with_its_weights():
    point = point_of(steps=0, model={"name": "mlp", "hidden": [50, 3]})
    hidden, narrow = SketchView().compute(point).layers[1:3]
    shown = shown_units(50)
    assert len(shown) == UNITS and shown[0] == 0 and shown[-1] == 49
    weights = point.theta[0].numpy()
    np.testing.assert_allclose(hidden.weights, weights[:100].reshape(50, 2)[shown])
    np.testing.assert_allclose(narrow.weights, weights[150:300].reshape(3, 50)[:, shown])


@pytest.mark.parametrize(
    ("dataset", "model", "kinds", "says"),
    [
        ("digits", {"name": "cnn", "channels": [3, 20]}, "maps maps maps output", "kernel"),
        ("copy_task", {"name": "rnn"}, "input state output", "last of 12 steps"),
        ("adding_problem", {"name": "lstm"}, "input state output", "gates"),
        ("digits", {"name": "transformer"}, "input units block block output", "attention"),
        ("digits", {"name": "mlp", "hidden": [9, 8], "auxiliary": 0.1}, "", "side head heads.0"),
    ],
)
def test_that_every_kind_of_model_has_a_sketch_that_says_what_it_leaves_out(
    dataset, model, kinds, says
):
    sections: dict[str, Any] = {"dataset": {"name": dataset}, "model": model}
    if dataset == "adding_problem":
        sections["loss"] = {"name": "squared_error"}
    point = point_of(steps=0, **sections)
    sketch = SketchView().compute(point)
    assert not kinds or [layer.kind for layer in sketch.layers] == kinds.split()
    assert any(says in note for note in sketch.notes)
    left_out = 100 if "auxiliary" in model else 0
    assert sum(layer.parameters for layer in sketch.layers) + left_out == sketch.parameters
    if model["name"] == "cnn":
        kernels = point.theta[0, :27].reshape(3, 3, 3).numpy()
        norms = np.sqrt((kernels**2).sum((1, 2))) * np.sign(kernels.sum((1, 2)))
        np.testing.assert_allclose(sketch.layers[1].weights[:, 0], norms)
        assert sketch.layers[2].maps.shape == (UNITS, 2, 2)
    if model["name"] == "rnn":
        tensors = point.objective.layout.named(point.theta)
        shown = sketch.layers[1].shown
        np.testing.assert_allclose(
            sketch.layers[1].own_weights, tensors["recurrent.weight"][0][shown][:, shown]
        )
