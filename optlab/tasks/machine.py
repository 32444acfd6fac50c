"""What the window asks about the machine: the doctor's findings, as ``optlab doctor`` tells them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from optlab.tasks.doctor import Finding, examine
from optlab.tasks.task import Task
from optlab.training.control import Controls


@dataclass(frozen=True)
class MachineTask(Task):
    """What works on this machine; answered by a tuple of :class:`~optlab.tasks.doctor.Finding`."""

    def run(self, controls: Controls) -> Iterator[tuple[Finding, ...]]:
        yield tuple(examine())


def told(findings: tuple[Finding, ...]) -> str:
    """The findings as text, to be copied into a report."""
    lines: list[str] = []
    for finding in findings:
        lines.append(f"{'ok     ' if finding.good else 'PROBLEM'}  {finding.part}: {finding.words}")
        if finding.advice:
            lines.append(f"         {finding.advice}")
    return "\n".join(lines)
