"""Short jobs, and one pool of workers for all tests: a worker takes seconds to import torch."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from optlab.experiment import Experiment
from optlab.runners import TrainJob, WorkerPool


def experiment(steps: int = 200, **sections: object) -> Experiment:
    tables = {
        "dataset": {"name": "moons", "size": 200},
        "model": {"name": "mlp"},
        "budget": {"steps": steps},
    }
    return Experiment.from_dict({**tables, **sections})


@pytest.fixture
def short() -> TrainJob:
    return TrainJob((experiment().to_toml(),))


@pytest.fixture
def endless() -> TrainJob:
    return TrainJob((experiment(10**12).to_toml(),))


@pytest.fixture
def doomed_pool() -> Iterator[WorkerPool]:
    """A pool of its own for a test that is the end of a worker."""
    opened = WorkerPool()
    opened.warm()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool]:
    opened = WorkerPool()
    worker = opened.acquire()
    assert worker.pid  # it is there before the first test is
    opened.give_back(worker)
    yield opened
    opened.close()
