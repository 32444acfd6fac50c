"""Claims as the command line and the window ask for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from optlab.core import files
from optlab.store import Store
from optlab.store.export.writing import check_target
from optlab.studies import report
from optlab.studies.claims import book, shipped
from optlab.studies.claims.conducting import stored
from optlab.studies.claims.found import found
from optlab.studies.claims.outcome import outcome
from optlab.tasks.study_export import curves_of
from optlab.tasks.task import Task
from optlab.training.control import Controls


def write_book(store: Store, path: Path, *, only: str = "", force: bool = False) -> int:
    """Write the book of all claims, completely or not at all; return how many it has.

    What is stored of a claim goes before what was found before the release; the curves of its runs
    are drawn then, too.

    Args:
        only: id of a claim whose page alone is written. force: whether an existing file is
            replaced.

    Raises:
        InvalidInput: ``path`` is not usable, or matplotlib is needed and not installed.
        StoreError: the store cannot be read, or the file cannot be written.
    """
    check_target(path, force=force)
    pictures: dict[str, str] = {}
    claims, results = shipped.claims([only] if only else ()), dict(found())
    for claim in claims:
        study, control = stored(store, claim)
        if study is not None and control is not None and study.result and control.result:
            results[claim.id] = outcome(claim, study, control).document()
            curves = curves_of(store, study, claim.study)
            pictures[claim.id] = report.curves_figure(claim.study, curves)
    text = book.page(claims, results, pictures)
    with files.replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")
    return len(claims)


@dataclass(frozen=True)
class BookTask(Task):
    """Write the book of all claims, or the page of one; the result is the path of the file.

    Attributes:
        path: of the file, which is replaced. only: id of a claim whose page alone is written.
    """

    path: Path
    only: str = ""

    def run(self, controls: Controls) -> Iterator[Path]:
        """Write the file; see :class:`~optlab.tasks.task.Task`.

        Args:
            controls: not used.

        Raises:
            InvalidInput: see :func:`write_book`.
            StoreError: the store cannot be read, or the file cannot be written.
        """
        with Store.open_readonly() as store:
            write_book(store, self.path, only=self.only, force=True)
        yield self.path
