"""What the user says of runs: names, colors, stars, notes, tags, and which are marked as deleted.

A run that is marked is no longer listed, but complete: the mark can be taken back until the run is
removed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from optlab.core.errors import InvalidInput
from optlab.store import database, records, snapshots
from optlab.store.columns import marks, parts
from optlab.store.records import GOING, RUNS, STUDY_RUNS, StudyRun
from optlab.store.study_store import StudyStore

LONGEST_NAME = 200
"""Characters of a name."""
LONGEST_NOTE = 20_000
"""Characters of a note."""
LONGEST_TAG = 60
"""Characters of a tag."""
MAX_TAGS = 40
"""Tags of a run."""


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Changes of what is said of runs; None leaves as it is.

    Attributes:
        name: own name of the run; "" for none.
        color: index into the palette.
        starred: whether it has a star.
        note: text about it.
        tags: all of its tags.
        add_tags, remove_tags: tags to add to those of each run, and to remove from them.
    """

    name: str | None = None
    color: int | None = None
    starred: bool | None = None
    note: str | None = None
    tags: tuple[str, ...] | None = None
    add_tags: tuple[str, ...] = ()
    remove_tags: tuple[str, ...] = ()

    def check(self) -> None:
        """Check all values.

        Raises:
            InvalidInput: one is not valid.
        """
        if self.name is not None and len(self.name) > LONGEST_NAME:
            raise InvalidInput(
                f"The name has {len(self.name):,} characters; give at most {LONGEST_NAME}.", "name"
            )
        if self.note is not None and len(self.note) > LONGEST_NOTE:
            raise InvalidInput(
                f"The note has {len(self.note):,} characters; give at most {LONGEST_NOTE:,}.",
                "note",
            )
        if self.color is not None and self.color < 0:
            raise InvalidInput(f"The color is {self.color}, but it counts from 0.", "color")
        for tag in (*(self.tags or ()), *self.add_tags):
            if not tag or tag != tag.strip() or "," in tag or len(tag) > LONGEST_TAG:
                raise InvalidInput(
                    f"{tag!r} cannot be a tag: give one to {LONGEST_TAG} characters without a "
                    "comma, and without spaces at its ends.",
                    "tag",
                )

    def changes(self, tags: Sequence[str]) -> dict[str, object]:
        """Return the columns that change in a run.

        Args:
            tags: of the run now.

        Raises:
            InvalidInput: the run would have too many tags.
        """
        given: dict[str, object] = {
            "name": self.name,
            "color": self.color,
            "starred": self.starred,
            "note": self.note,
        }
        changed = {column: value for column, value in given.items() if value is not None}
        wanted = tuple(
            tag
            for tag in dict.fromkeys((*(tags if self.tags is None else self.tags), *self.add_tags))
            if tag not in self.remove_tags
        )
        if len(wanted) > MAX_TAGS:
            raise InvalidInput(f"A run has at most {MAX_TAGS} tags; remove some.", "tag")
        if wanted != tuple(tags):
            changed["tags"] = wanted
        return changed


class LabeledRuns(StudyStore):
    """A store as far as the user's words about runs are concerned; see ``Store``."""

    def label(self, labels: Mapping[str, Labels]) -> None:
        """Change what is said of runs, of all or of none.

        Runs in progress can be labeled, too.

        Args:
            labels: complete id → changes.

        Raises:
            InvalidInput: a value is not valid, or there is no such run.
            StoreError: they cannot be written.
        """
        for one in labels.values():
            one.check()
        known = {run: self._read_one(RUNS, run).tags for run in labels}
        changes = {run: one.changes(known[run]) for run, one in labels.items()}
        self._change({run: change for run, change in changes.items() if change})

    def mark_deleted(self, run_ids: Collection[str]) -> None:
        """Mark runs as deleted: they are listed no more, and :meth:`purge` removes them.

        Raises:
            InvalidInput: there is no such run, or one is in progress; then none is marked.
            StoreError: they cannot be written.
        """
        found = [self._read_one(RUNS, run) for run in run_ids]
        for record in found:
            if record.going:
                raise InvalidInput(
                    f"Run {record.id} is {record.status}; stop it before you delete it."
                )
        self._change({record.id: {"deleted": records.now()} for record in found})

    def restore_deleted(self, run_ids: Collection[str]) -> None:
        """Take back the marks of :meth:`mark_deleted`.

        Raises:
            InvalidInput: a run has been removed since; then no mark is taken back.
            StoreError: they cannot be written.
        """
        self._change({self._read_one(RUNS, run).id: {"deleted": ""} for run in run_ids})

    def purge(self, before: str) -> list[str]:
        """Remove the runs that were marked as deleted before a time; return their ids.

        Args:
            before: UTC, ISO 8601; see :func:`optlab.store.records.now`.

        Raises:
            StoreError: they cannot be removed.
        """
        with self._readable_errors():
            removed = self._persist(lambda: self._purge(before))
            for run in removed:
                snapshots.remove_all(self.home, run)
        return removed

    def _purge(self, before: str) -> list[str]:
        values = (before, *GOING)
        condition = "deleted != '' AND deleted < ? AND status NOT IN (?, ?)"
        with database.transaction(self._connection):
            rows = self._connection.execute(f"SELECT id FROM runs WHERE {condition}", values)
            removed = [run for (run,) in rows.fetchall()]
            self._connection.execute(f"DELETE FROM runs WHERE {condition}", values)
        return removed

    def _change(self, changes: Mapping[str, Mapping[str, object]]) -> None:
        def write() -> None:
            with database.transaction(self._connection):
                for run, change in changes.items():
                    self._connection.execute(*RUNS.update(run, **change))
                RUNS.write_checksums(self._connection, *changes)

        with self._readable_errors():
            self._persist(write)

    # --- what changed ------------------------------------------------------------------------------

    def versions(self) -> dict[str, int | None]:
        """Return the checksum of the row of every run, by id: it differs where the row changed.

        It is read from an index, so it takes a fraction of the time of reading the rows.

        Raises:
            StoreError: the database is damaged.
        """
        with self._readable_errors():
            return dict(self._rows("SELECT id, checksum FROM runs", ()))

    def memberships(self, run_ids: Collection[str] | None = None) -> dict[str, StudyRun]:
        """Return which study and arm each run belongs to, by its id; the last where several.

        Args:
            run_ids: complete ids; None for all runs. Damaged rows are left out.

        Raises:
            StoreError: the database is damaged.
        """
        query = f"SELECT {STUDY_RUNS.columns}, checksum FROM study_runs"
        with self._readable_errors():
            if run_ids is None:
                rows = self._rows(query, ())
            else:
                rows = [
                    row
                    for part in parts(run_ids)
                    for row in self._rows(f"{query} WHERE run IN ({marks(part)})", part)
                ]
        return {member.run: member for member in STUDY_RUNS.parse(rows)[0]}
