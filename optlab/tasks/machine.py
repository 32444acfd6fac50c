"""The environment check as a task, with the findings of ``optlab doctor``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from optlab.tasks.doctor import Finding, examine
from optlab.tasks.task import Task
from optlab.training.control import Controls


@dataclass(frozen=True)
class MachineTask(Task):
    """Check this machine; the result is a tuple of :class:`~optlab.tasks.doctor.Finding`."""

    def run(self, controls: Controls) -> Iterator[tuple[Finding, ...]]:
        """See :class:`~optlab.tasks.task.Task`."""
        yield tuple(examine())


def as_text(findings: tuple[Finding, ...]) -> str:
    """Return the findings as text that can be pasted into a report."""
    lines: list[str] = []
    for finding in findings:
        lines.append(f"{'ok     ' if finding.good else 'PROBLEM'}  {finding.part}: {finding.words}")
        if finding.advice:
            lines.append(f"         {finding.advice}")
    return "\n".join(lines)
