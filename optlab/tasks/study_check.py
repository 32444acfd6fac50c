"""Reading a study whose experiments execute code of the user's, in a worker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from optlab.studies.comparison import reading
from optlab.tasks.task import Task
from optlab.training.control import Controls


@dataclass(frozen=True)
class StudyCheckTask(Task):
    """Read and check a study; the result is its text, which needs no other file.

    Attributes:
        source: path of a file, or name of a shipped study.
    """

    source: str

    def run(self, controls: Controls) -> Iterator[str]:
        """See :class:`~optlab.tasks.task.Task`."""
        yield reading.named(self.source).to_toml()


@dataclass(frozen=True)
class StudyTextCheckTask(Task):
    """Check the text of a study; the result is a text that needs no other file.

    Attributes:
        document: the text. folder: that paths in it are relative to.
    """

    document: str
    folder: Path | None = None

    def run(self, controls: Controls) -> Iterator[str]:
        """See :class:`~optlab.tasks.task.Task`."""
        yield reading.from_toml(self.document, self.folder).to_toml()
