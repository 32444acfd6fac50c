"""The shipped studies, each to its result: some 15 minutes on two cores.

The verdicts are what was found when each study was run for the first time, after its protocol had
been committed. They are no opinion: a study whose verdict changes has changed, or the engine has.
"""

from __future__ import annotations

import json

import pytest

from optlab.cli.app import main
from optlab.studies.comparison import shipped
from optlab.studies.comparison.found import found

pytestmark = pytest.mark.soak

VERDICTS = {
    "batch-norm-in-deep-networks": "supported",
    "batch-size-and-epochs": "supported",
    "batch-size-wants-rate": "supported",
    "blurred-first": "contradicted",
    "easy-model-or-strong-optimizer": "supported",
    "momentum-vs-descent": "supported",
    "nesterov-vs-momentum": "undecided",
    "second-pass": "supported",
    "small-batches-regularize": "contradicted",
    "tuned-optimizers": "contradicted",
    "width-helps-the-search": "contradicted",
    **{name: str(document["verdict"]) for name, document in found().items()},
}


def test_that_every_shipped_study_has_a_result() -> None:
    assert set(VERDICTS) == {path.stem for path in shipped.files()}


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", VERDICTS)
def test_that_a_shipped_study_comes_to_its_result(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["study", name, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["status"] == "finished"
    assert found["verdict"] == VERDICTS[name]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("how", [["--runner", "process"], ["--cluster", "local:2"]], ids=str)
def test_that_a_study_gives_the_same_numbers_wherever_it_runs(
    how: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    documents = []
    for place in (["--runner", "thread"], how):
        assert main(["study", "nesterov-vs-momentum", "--json", *place]) == 0
        documents.append(json.loads(capsys.readouterr().out))
    first, second = documents
    assert first["comparisons"] == second["comparisons"]
    for name, arm in first["arms"].items():
        for key in ("low", "high", "mean", "interval", "censored", "diverged"):
            assert second["arms"][name][key] == arm[key]
