"""Claims as the command line and the window ask for them."""

from __future__ import annotations

from pathlib import Path

from optlab.core import files
from optlab.store import Store
from optlab.store.export.writing import check_target
from optlab.studies.claims import book, shipped
from optlab.studies.claims.conducting import stored
from optlab.studies.claims.found import found
from optlab.studies.claims.outcome import outcome


def write_book(store: Store, path: Path, *, force: bool = False) -> int:
    """Write the book of all claims, completely or not at all; return how many it has.

    What is stored of a claim goes before what was found before the release.

    Args:
        force: whether an existing file is replaced.

    Raises:
        InvalidInput: ``path`` is not usable, or matplotlib is needed and not installed.
        StoreError: the store cannot be read, or the file cannot be written.
    """
    check_target(path, force=force)
    claims, results = shipped.claims(), dict(found())
    for claim in claims:
        study, control = stored(store, claim)
        if study is not None and control is not None and study.result and control.result:
            results[claim.id] = outcome(claim, study, control).document()
    text = book.page(claims, results)
    with files.replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")
    return len(claims)
