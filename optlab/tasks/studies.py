"""Studies and claims as lists and pages: those that ship, those that are stored, the user's files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from optlab.core import toml
from optlab.core.reading import read_at_most
from optlab.store import Store
from optlab.store.records import StudyRecord, missing_runs
from optlab.studies.claims import shipped as claims
from optlab.studies.claims.conducting import of_control, stored
from optlab.studies.claims.found import found
from optlab.studies.claims.outcome import outcome
from optlab.studies.claims.words import page_lines
from optlab.studies.comparison import found as found_studies
from optlab.studies.comparison import reading, shipped, words
from optlab.studies.comparison.protocols import same_protocol
from optlab.studies.comparison.study import Study
from optlab.tasks import study_files
from optlab.tasks.study_news import better
from optlab.tasks.task import Task
from optlab.training.control import Controls

EntryKind = Literal["shipped", "file", "stored", "claim"]


@dataclass(frozen=True)
class StudyEntry:
    """One line of the list.

    Attributes:
        kind: what it is. key: name of a shipped study, path of a file, id of a stored study or of a
            claim. title: its question or statement. status: of a stored study, else "".
            verdict: "" where there is none yet. note: when, or where from.
    """

    kind: EntryKind
    key: str
    title: str
    status: str = ""
    verdict: str = ""
    note: str = ""


@dataclass(frozen=True)
class StudyList:
    """All studies and claims. ``problem``: what could not be read, or ""."""

    entries: tuple[StudyEntry, ...]
    problem: str = ""


@dataclass(frozen=True)
class StudyListTask(Task):
    """List studies and claims; the result is a :class:`StudyList`."""

    def run(self, controls: Controls) -> Iterator[StudyList]:
        """List them; see :class:`~optlab.tasks.task.Task`.

        Args:
            controls: not used.

        Raises:
            StoreError: the store cannot be opened or read.
        """
        # Opened for writing, so that it is migrated and studies that died are marked.
        with Store.open() as store:
            records = store.studies()
            hidden = " ".join(filter(None, (store.notice, store.hidden)))
            entries = [
                *(StudyEntry("file", str(path), _question(path)) for path in study_files.known()),
                *_shipped(),
                *(_of_record(record) for record in records),
                *_claims(store, records),
            ]
        yield StudyList(tuple(entries), hidden)


def _question(path: Path) -> str:
    """Return the question of a study file; its name where it cannot be read."""
    try:
        content = read_at_most(path, toml.LARGEST_DOCUMENT)
        tables: Any = toml.parse((content or b"").decode("utf-8-sig"))
    except (OSError, ValueError, toml.TOMLProblem):
        return path.name
    question = tables.get("question")
    return question if isinstance(question, str) and question else path.name


def _shipped() -> Iterator[StudyEntry]:
    before = found_studies.found()
    for one in shipped.studies():
        verdict = str(before[one.name]["verdict"]) if one.name in before else ""
        yield StudyEntry("shipped", one.name, one.question, "", verdict, one.sentence)


def _of_record(record: StudyRecord) -> StudyEntry:
    return StudyEntry(
        "stored",
        record.id,
        of_control(record.name) + (record.question or record.name or record.id),
        record.status,
        str(record.result.get("verdict", "")),
        record.created[:16].replace("T", " "),
    )


def _claims(store: Store, records: list[StudyRecord]) -> Iterator[StudyEntry]:
    before, conducted = found(), {record.name for record in records}
    for identity, path in claims.files().items():
        tables: Any = toml.parse(path.read_text(encoding="utf-8"))
        verdict = str(before[identity]["verdict"]) if identity in before else ""
        if f"claim {identity}" in conducted:
            verdict = _stored_verdict(store, identity) or verdict
        yield StudyEntry(
            "claim", identity, str(tables["statement"]), "", verdict, str(tables["chapter"])
        )


def _stored_verdict(store: Store, identity: str) -> str:
    study, control = stored(store, claims.claim(identity))
    complete = study is not None and control is not None and study.result and control.result
    return str(study.result["verdict"]) if study is not None and complete else ""


# --- pages ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StudyPage:
    """What there is to read of a study or a claim.

    Attributes:
        entry: its kind and key. title: question or statement. sentence: what it decides.
        parts: heading and text of each part. arms: their names. differs: the fields in which the
            arms differ, each with a value for each arm. document: the study as TOML. study: id of
            the stored study whose result belongs to it, or "". command: that does the same.
        effect, margin: how arms are compared. seeds, first: runs of each arm, and the master seed.
        better: whether ``lower`` or ``higher`` values lead.
        found: what was found before the release, of a claim without a stored result or of a study
            that ships; see :mod:`optlab.studies.claims.found` and
            :mod:`optlab.studies.comparison.found`.
    """

    kind: EntryKind
    key: str
    title: str
    sentence: str
    parts: tuple[tuple[str, str], ...]
    arms: tuple[str, ...]
    differs: tuple[tuple[str, ...], ...]
    document: str
    study: str = ""
    command: str = ""
    effect: str = "difference"
    margin: float = 0.0
    seeds: int = 0
    first: int = 0
    better: str = "lower"
    found: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class StudyPageTask(Task):
    """Read what there is to read of a study or a claim; the result is a :class:`StudyPage`.

    Attributes:
        kind, key: see :class:`StudyEntry`.
    """

    kind: EntryKind
    key: str

    def run(self, controls: Controls) -> Iterator[StudyPage]:
        """Read it; see :class:`~optlab.tasks.task.Task`.

        Args:
            controls: not used.

        Raises:
            InvalidInput: there is none, or it is not valid.
            StoreError: the store cannot be read.
        """
        with Store.open_readonly() as store:
            if self.kind == "claim":
                yield _claim_page(store, self.key)
            elif self.kind == "stored":
                yield _stored_page(store, store.study(self.key))
            else:
                yield self._file_page(store)

    def _file_page(self, store: Store) -> StudyPage:
        study = reading.named(self.key, check=False)
        if self.kind == "file":
            study_files.remember(Path(self.key))
        about = next((one.sentence for one in shipped.studies() if one.name == self.key), "")
        text = study.to_toml()
        newest = next(
            (
                one.id
                for one in store.studies()
                if one.name == self.key and same_protocol(one.document, text)
            ),
            "",
        )
        page = _page(self.kind, self.key, study, about, newest, f"optlab study {_quoted(self.key)}")
        before = found_studies.found().get(self.key) if self.kind == "shipped" else None
        if before is None or before["protocol"] != found_studies.fingerprint(study):
            return page
        parts = (*page.parts, *(("", line) for line in found_studies.lines(before)))
        return replace(page, parts=parts, better=better(study.measured), found=before)


def _quoted(text: str) -> str:
    import shlex

    return shlex.quote(text)


def _stored_page(store: Store, record: StudyRecord) -> StudyPage:
    study = reading.from_toml(record.document, check=False)
    lines = [f"{record.status} · begun {record.created[:19].replace('T', ' ')} UTC"]
    if record.reason:
        lines.append(record.reason)
    lost = missing_runs(record, store.study_runs(record.id))
    if lost:
        lines.append(lost)
    command = (
        f"optlab studies {record.id}" if record.result else f"optlab study --resume {record.id}"
    )
    return _page("stored", record.id, study, "\n".join(lines), record.id, command)


def _page(
    kind: EntryKind, key: str, study: Study, about: str, stored_id: str, command: str
) -> StudyPage:
    parts = [("", text) for text in (about, study.about) if text]
    parts += words.protocol(study)
    tuned = words.tuning_words(study)
    if tuned:
        parts.append(("Tuned", tuned))
    tables = study.tables()
    return StudyPage(
        kind,
        key,
        study.question or key,
        words.question_words(study),
        tuple(parts),
        tuple(tables),
        tuple(words.differences(tables)),
        study.to_toml(),
        stored_id,
        command,
        study.decision.effect,
        study.decision.margin,
        study.seeds.count,
        study.seeds.first,
    )


def _claim_page(store: Store, identity: str) -> StudyPage:
    claim = claims.claim(identity)
    study, control = stored(store, claim)
    document: Mapping[str, Any] | None = found().get(claim.id)
    if study is not None and control is not None and study.result and control.result:
        document = outcome(claim, study, control).document()
    tables = claim.study.tables()
    return StudyPage(
        "claim",
        claim.id,
        claim.text.statement,
        words.question_words(claim.study),
        tuple(page_lines(claim, document))[1:],
        tuple(tables),
        tuple(words.differences(tables)),
        claim.study.to_toml(),
        study.id if study is not None else "",
        f"optlab claim {claim.id}",
        claim.study.decision.effect,
        claim.study.decision.margin,
        claim.study.seeds.count,
        claim.study.seeds.first,
        better(claim.study.measured),
        document,
    )


# --- deleting -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DeleteStudyTask(Task):
    """Delete a stored study; the result is the :class:`StudyList` that remains.

    Attributes:
        study_id: its id. with_runs: whether its runs are deleted with it.
    """

    study_id: str
    with_runs: bool = False

    def run(self, controls: Controls) -> Iterator[StudyList]:
        """Delete it; see :class:`~optlab.tasks.task.Task`.

        Args:
            controls: not used.

        Raises:
            InvalidInput: there is no such study, or it is in progress.
            StoreError: it cannot be deleted.
        """
        with Store.open() as store:
            store.delete_study(self.study_id, with_runs=self.with_runs)
        yield from StudyListTask().run(controls)
