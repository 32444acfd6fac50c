"""The performance of a stored run on the test part, on demand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from optlab.core.errors import InvalidInput
from optlab.experiment.data_files import experiment_of
from optlab.store import Store
from optlab.tasks.task import OnStoredRun
from optlab.training.control import Controls
from optlab.training.final_results import final_results
from optlab.training.trainer import Trainer


@dataclass(frozen=True)
class TestPartResult:
    """The performance of a run's latest weights on the test part.

    Attributes:
        title: of the run. step: of the weights. examples: of the test part.
        values: by name, as in :class:`~optlab.training.final_results.FinalResult`: those of the
            test part, and the losses and errors of the other parts.
        confusion: a row for each true class, a column for each predicted one; () for regression.
        classes: their names; () for regression.
    """

    __test__ = False  # no test class for pytest

    title: str
    step: int
    examples: int
    values: Mapping[str, float]
    confusion: tuple[tuple[int, ...], ...]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class TestPartTask(OnStoredRun):
    """Evaluate a stored run on its test part; the result is a :class:`TestPartResult`.

    Attributes:
        run_id: its id, or a unique prefix of it.
        changed_data: see :class:`~optlab.tasks.task.OnStoredRun`.
    """

    __test__ = False

    run_id: str

    def run(self, controls: Controls) -> Iterator[TestPartResult]:
        """Evaluate; see :class:`~optlab.tasks.task.Task`.

        Raises:
            InvalidInput: no run or more than one matches, it has no stored weights, its data have
                no test part, or its files have changed.
            StoreError: the store cannot be read.
        """
        yield on_test_part(self.run_id, changed_data=self.changed_data)


def on_test_part(run_id: str, *, changed_data: bool = False) -> TestPartResult:
    """Evaluate the latest weights of a stored run on its test part.

    Args:
        run_id: its id, or a unique prefix of it.
        changed_data: whether to go on although the files that the run has read have changed.

    Raises:
        InvalidInput: no run or more than one matches, it has no stored weights, its data have no
            test part, or its files have changed.
        StoreError: the store cannot be read.
    """
    with Store.open_readonly() as store:
        record = store.run(run_id)
        snapshots = store.snapshots(record.id)
        if not snapshots:
            raise InvalidInput(
                f"Run {record.id} has no stored weights; choose a run with a snapshot."
            )
        snapshot = store.load_snapshot(snapshots[-1])
    experiment = experiment_of(
        record.id, record.experiment, record.identities, changed_data=changed_data
    )
    data = experiment.dataset.load()
    if not len(data.test):
        raise InvalidInput(
            f"Run {record.id} was trained with dataset.test = 0, so there is no test part to "
            "evaluate; set it to 0.2, for example, and train again.",
            "dataset.test",
        )
    trainer = Trainer([experiment], [snapshot])
    (result,) = final_results(trainer)
    values = {
        name: value
        for name, value in result.values.items()
        if value is not None and name.startswith(("test_", "train_", "validation_"))
    }
    return TestPartResult(
        record.title,
        snapshot.step,
        len(data.test),
        values,
        result.confusion,
        class_names(data.class_names, len(result.confusion)),
    )


def class_names(names: tuple[str, ...], count: int) -> tuple[str, ...]:
    """Return a name for each of ``count`` classes: the data's own, or numbers."""
    return names if len(names) == count else tuple(str(number) for number in range(count))
