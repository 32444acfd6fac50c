"""Modules whose forward pass takes several tensors: columns of a table, arrays of a file, places."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from optlab.core.errors import InvalidInput
from optlab.entry import main
from optlab.experiment import Experiment
from optlab.objective.hessian import batch_hessian
from optlab.outside.own_models import division, records, sources
from optlab.outside.own_models.registering import register
from optlab.tasks.own_files import RegisterTask
from optlab.training.control import Inbox
from optlab.training.trainer import Trainer

HEAD = "import torch\nfrom torch import nn\n"
TABULAR = (
    HEAD
    + """
class Net(nn.Module):
    inputs = {"numbers": ["age", "net, income"], "place": "city, color"}

    def __init__(self, inputs, codes, outputs, width=3):
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(n, width) for n in codes["place"])
        self.first = nn.Linear(inputs["numbers"] + width * inputs["place"], 6)
        self.last = nn.Linear(6, outputs)

    def forward(self, numbers, *, place):
        words = [table(column) for table, column in zip(self.tables, place.unbind(-1))]
        return self.last(torch.tanh(self.first(torch.cat([numbers, *words], dim=-1))))
"""
)
SEQUENCE = (
    HEAD
    + """
class Net(nn.Module):
    def __init__(self, codes, outputs, input_shape):
        super().__init__()
        assert input_shape == {"tokens": (7,), "mask": (7,)}
        self.words = nn.Embedding(codes["tokens"][0], 5)
        self.body = nn.LSTM(5, 4, batch_first=True)
        self.drop, self.last = nn.Dropout(0.2), nn.Linear(4, outputs)

    def forward(self, tokens, mask):
        hidden = self.body(self.words(tokens))[0] * mask.unsqueeze(-1)
        return self.last(self.drop(hidden.sum(1) / mask.sum(1, keepdim=True)))
"""
)
HALVES = (
    HEAD
    + """
class Net(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.a, self.b = nn.Linear(inputs["left"], 4), nn.Linear(inputs["right"], 4)
        self.last = nn.Linear(4, outputs)

    def forward(self, left, right):
        return self.last(torch.tanh(self.a(left)) * torch.sigmoid(self.b(right)))
"""
)


def registered(folder: Path, source: str, *columns: str) -> Any:
    path = folder / "net.py"
    path.write_text(source, encoding="utf-8")
    register(sources.find(f"{path}:Net"), "net", columns=columns)
    return sources.execute(sources.find(f"{path}:Net"))


def write_table(path: Path, order: str = "age,city,net income,color,bought") -> str:
    rng = np.random.default_rng(0)
    cells = {
        "age": rng.integers(18, 80, 120),
        "city": rng.choice(["Oslo", "Rome", "Bonn"], 120),
        "net income": rng.normal(50.0, 9.0, 120).round(2),
        "color": rng.choice(["red", "blue"], 120),
        "bought": rng.choice(["yes", "no"], 120),
    }
    names = order.split(",")
    rows = [",".join(f'"{cells[name][row]}"' for name in names) for row in range(120)]
    heading = ",".join('"net, income"' if name == "net income" else name for name in names)
    path.write_text("\n".join([heading, *rows]) + "\n", encoding="utf-8")
    return str(path)


def table(path: Path, **fields: Any) -> dict[str, Any]:
    columns = ["city=code", "color=code"]
    return {"name": "csv_file", "path": write_table(path), "columns": columns, **fields}


def write_arrays(path: Path) -> str:
    rng = np.random.default_rng(1)
    lengths = rng.integers(1, 8, 90)
    mask = np.arange(7) < lengths[:, None]
    tokens = rng.integers(1, 11, (90, 7)) * mask
    np.savez(path, tokens=tokens, mask=mask, y=tokens.sum(axis=1) % 3)
    return str(path)


def arrays(path: Path) -> dict[str, Any]:
    return {
        "name": "npz_file",
        "path": write_arrays(path),
        "x": "tokens, mask",
        "codes": ["tokens"],
    }


def asked(dataset: dict[str, Any], **changes: Any) -> Experiment:
    tables: dict[str, Any] = {
        "seed": 3,
        "device": "cpu",
        "precision": "float64",
        "dataset": dataset,
        "model": {"name": "own.net"},
        "optimizer": {"name": "adam", "lr": 0.02},
        "batches": {"name": "never_shuffled", "size": 24},
        "budget": {"steps": 9},
    }
    return Experiment.from_dict({**tables, **changes})


def advanced(trainer: Trainer, steps: int) -> Trainer:
    for _ in range(steps):
        trainer.advance()
    trainer.sync_divergence()
    assert not trainer.endings
    return trainer


def test_that_columns_and_codes_train_as_in_a_plain_torch_loop(tmp_path: Path) -> None:
    cls = registered(tmp_path, TABULAR)
    trainer = Trainer([asked(table(tmp_path / "a.csv"))])
    training = trainer.requested[0].dataset.load().training
    # Read anew, without OptLab's roles: a code is the place of a word among the sorted ones.
    order = [list(map(str.strip, ("age", "city", "net, income", "color")))]
    assert [group.name for group in trainer.requested[0].dataset.shape().groups] == order[0]
    numbers = torch.tensor(training.x[:, [0, 2]])
    place = torch.tensor(training.x[:, [1, 3]]).long()
    assert sorted(set(place[:, 0].tolist())) == [1, 2, 3] and int(place[:, 1].max()) == 2
    assert numbers.std(dim=0, correction=0).allclose(torch.ones(2, dtype=torch.float64))
    y = torch.tensor(training.y)
    given = {"inputs": {"numbers": 2, "place": 2}, "codes": {"numbers": (), "place": (4, 3)}}
    module = cls(outputs=2, **given).double()
    torch.nn.utils.vector_to_parameters(trainer.theta[0].clone(), module.parameters())
    step = torch.optim.Adam(module.parameters(), lr=0.02)
    for number in range(30):
        rows = slice(24 * (number % 3), 24 * (number % 3 + 1))
        step.zero_grad()
        outputs = module(numbers[rows], place=place[rows])
        torch.nn.functional.cross_entropy(outputs, y[rows]).backward()
        step.step()
    start = trainer.theta.clone()
    advanced(trainer, 30)
    reached = torch.nn.utils.parameters_to_vector(module.parameters())
    assert (trainer.theta[0] - start[0]).norm() > 0.5
    torch.testing.assert_close(trainer.theta[0], reached, rtol=1e-10, atol=1e-10)


def test_that_text_and_mask_resume_exactly_and_run_side_by_side(tmp_path: Path) -> None:
    dataset = arrays(tmp_path / "a.npz")
    path = tmp_path / "net.py"
    path.write_text(SEQUENCE, encoding="utf-8")
    source = sources.find(str(path))
    with pytest.raises(InvalidInput, match="Net cannot be built: AssertionError"):
        register(source, "net")
    # On its own data, as those of the experiment in the editor are.
    task = RegisterTask(f"{path}:Net", source.fingerprint, "net", dataset=dataset)
    (done,) = task.run(Inbox())
    assert (done.registration.inputs, done.inputs) == (("tokens", "mask"), (14,))
    experiments = [asked(dataset), asked(dataset, seed=4, optimizer={"name": "sgd", "lr": 0.5})]
    alone = [advanced(Trainer([one]), 5) for one in experiments]
    together = advanced(Trainer(experiments), 5)
    for run, one in enumerate(alone):
        torch.testing.assert_close(together.theta[run], one.theta[0], rtol=1e-8, atol=1e-9)
    whole = alone[0]
    again = advanced(Trainer([asked(dataset)], [whole.snapshot(0, 0.0, "asked")]), 4)
    advanced(whole, 4)
    assert torch.equal(again.theta, whole.theta)
    assert str(again.evaluate()) == str(whole.evaluate())
    # Of the file: tokens as they stand, and the mask as 0 and 1.
    stored = np.load(dataset["path"])
    loaded = experiments[0].dataset.load().training.x
    rows = {tuple(row) for row in np.hstack([stored["tokens"], stored["mask"]]).tolist()}
    assert {tuple(row) for row in loaded.tolist()} <= rows


def test_that_curvature_is_that_of_the_module_in_torch(tmp_path: Path) -> None:
    cls = registered(tmp_path, TABULAR)
    trainer = advanced(Trainer([asked(table(tmp_path / "a.csv"))]), 2)
    x, y = trainer.batch_of(2)
    module = cls({"numbers": 2, "place": 2}, {"place": (4, 3)}, 2).double()
    torch.nn.utils.vector_to_parameters(trainer.theta[0].clone(), module.parameters())
    parameters = list(module.parameters())
    outputs = module(x[0][:, [0, 2]], place=x[0][:, [1, 3]].long())
    loss = torch.nn.functional.cross_entropy(outputs, y[0])
    gradient = torch.autograd.grad(loss, parameters, create_graph=True)
    flat = torch.cat([part.reshape(-1) for part in gradient])
    v = torch.randn(trainer.theta.shape, dtype=torch.float64)
    product = torch.autograd.grad(flat, parameters, v[0])
    torch.testing.assert_close(
        batch_hessian(trainer.objective, trainer.theta, x, y).product(v)[0],
        torch.cat([part.reshape(-1) for part in product]),
    )


def test_that_tables_with_the_same_columns_in_another_order_are_not_mixed_up(
    tmp_path: Path,
) -> None:
    registered(tmp_path, TABULAR)
    first, other = table(tmp_path / "a.csv"), table(tmp_path / "b.csv")
    write_table(tmp_path / "b.csv", "color,net income,city,age,bought")
    # Both are laid out before either passes forward.
    trainers = [Trainer([asked(dataset)]) for dataset in (first, other)]
    for trainer in trainers:
        advanced(trainer, 4)
    torch.testing.assert_close(trainers[0].theta, trainers[1].theta, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("inputs", "places"),
    [
        (["left=1-3,6", "right=*"], ([0, 1, 2, 5], [3, 4, 6, 7])),
        (["right=2-1,1"], None),
        (["right=1-2"], ([2, 3, 4, 5, 6, 7], [0, 1])),
    ],
)
def test_that_places_of_the_last_axis_are_divided_as_an_experiment_says(
    tmp_path: Path, inputs: list[str], places: tuple[list[int], list[int]] | None
) -> None:
    registered(tmp_path, HALVES, "left=1-2", "right=3-4")
    dataset = {"name": "teacher", "dimension": 8}
    model = {"name": "own.net", "inputs": inputs}
    loss = {"name": "squared_error"}
    if places is None:
        with pytest.raises(InvalidInput, match="'2-1', which the data do not have"):
            asked(dataset, model=model, loss=loss)
        return
    experiment = asked(dataset, model=model, loss=loss)
    objective = Trainer([experiment]).objective
    x = torch.randn(1, 5, 8, dtype=torch.float64)
    theta = torch.randn(1, objective.layout.total, dtype=torch.float64)
    named = {
        parameter.name: part[0]
        for parameter, part in zip(
            objective.layout.parameters, objective.layout.split(theta), strict=True
        )
    }
    left, right = (x[0][:, own] for own in places)
    hidden = torch.tanh(left @ named["a.weight"].T + named["a.bias"]) * torch.sigmoid(
        right @ named["b.weight"].T + named["b.bias"]
    )
    expected = hidden @ named["last.weight"].T + named["last.bias"]
    torch.testing.assert_close(objective.outputs(theta, x)[0], expected)


REFUSED: dict[str, tuple[list[str], str]] = {
    "an unknown argument": (["numbrs=age"], "no argument 'numbrs' (did you mean numbers"),
    "an unknown column": (["numbers=aeg"], "names 'aeg', which the data do not have (did you"),
    "codes and quantities": (["numbers=age", "place=*"], "are codes, and net, income, which"),
    "nothing left": (['numbers=age,city,color,"net, income"', "place=*"], "no input is left"),
    "a column that none takes": (["numbers=age", "place=city,color"], "takes net, income"),
    "no name": (["age"], "must be NAME=COLUMNS"),
    "twice": (["numbers=age", "numbers=city"], "stands twice"),
    "two that take the others": (["numbers=*", "place=*"], "numbers and which are place"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_that_inputs_that_cannot_be_divided_are_refused_in_a_sentence(
    tmp_path: Path, case: str
) -> None:
    inputs, words = REFUSED[case]
    registered(tmp_path, TABULAR)
    with pytest.raises(InvalidInput) as refused:
        asked(table(tmp_path / "a.csv"), model={"name": "own.net", "inputs": inputs})
    assert words in str(refused.value) and "\n" not in str(refused.value)


def test_that_codes_are_no_quantities_for_other_models(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"'city' the role code, .* use the role category"):
        asked(table(tmp_path / "a.csv"), model={"name": "mlp"})


def test_that_the_command_registers_and_trains(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "net.py"
    path.write_text(HALVES, encoding="utf-8")
    command = ["model", "register", str(path), "--yes", "--json", "--input", "left=a,b"]
    assert main([*command, "--input", "right=*"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["details"] == {
        "inputs": ["left", "right"],
        "columns": ["left=a,b", "right=*"],
    }
    run = ["run", "iris-softmax", "--set", "model.name=own.net", "--no-store", "--steps", "2"]
    assert main([*run, "--set", "model.inputs=left=1,2,right=3-4", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "finished"
    assert records.get("net").columns == ("left=a,b", "right=*")


def test_that_what_a_class_takes_is_read_without_executing_it() -> None:
    assert division.asked_by(TABULAR.encode(), "Net") == {
        "numbers": 'age, "net, income"',
        "place": "city, color",
    }
    assert division.asked_by(SEQUENCE.encode(), "Net") == {"tokens": "", "mask": ""}
    assert division.asked_by(HALVES.replace("right)", "right=None)").encode(), "Net") == {}
