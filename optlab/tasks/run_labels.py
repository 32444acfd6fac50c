"""Tasks that write what the user says of runs, and undo what they wrote."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from optlab.store import RunRecord, Store
from optlab.store.labels import Labels
from optlab.tasks.task import Task
from optlab.training.control import Controls


@dataclass(frozen=True)
class LabelRunsTask(Task):
    """Change what is said of runs; the result is the labels that they had, by id.

    Attributes:
        labels: complete id → changes.
    """

    labels: Mapping[str, Labels]

    def run(self, controls: Controls) -> Iterator[Mapping[str, Labels]]:
        """Write the labels; see :class:`~optlab.tasks.task.Task`.

        Args:
            controls: not used.

        Raises:
            InvalidInput: a label is not valid, or a run is no longer stored.
            StoreError: they cannot be written.
        """
        with Store.open() as store:
            before = {run: labels_of(store.run(run)) for run in self.labels}
            store.label(self.labels)
            yield before


@dataclass(frozen=True)
class MarkDeletedTask(Task):
    """Mark runs as deleted, or take the marks back; the result is their ids.

    Attributes:
        run_ids: complete ids.
        deleted: whether they are to be marked.
    """

    run_ids: tuple[str, ...]
    deleted: bool = True

    def run(self, controls: Controls) -> Iterator[tuple[str, ...]]:
        """Write the marks; see :class:`~optlab.tasks.task.Task`.

        Args:
            controls: not used.

        Raises:
            InvalidInput: a run is in progress, or no longer stored.
            StoreError: they cannot be written.
        """
        with Store.open() as store:
            if self.deleted:
                store.mark_deleted(self.run_ids)
            else:
                store.restore_deleted(self.run_ids)
        yield self.run_ids


def labels_of(record: RunRecord) -> Labels:
    """Return all labels of a run, as changes that give it exactly these."""
    return Labels(
        name=record.name,
        color=max(record.color, 0),
        starred=record.starred,
        note=record.note,
        tags=record.tags,
    )
