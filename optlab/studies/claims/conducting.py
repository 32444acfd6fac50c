"""Conducting claims: the study and the control of each, as far as the store does not have them.

A study of a claim that is stored with the same protocol is not conducted again: a finished one is
read, one that ended early goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from optlab.core.errors import RunFailed
from optlab.store.records import StudyRecord
from optlab.store.store import Store
from optlab.studies.claims.claim import Claim
from optlab.studies.claims.outcome import ClaimOutcome, outcome
from optlab.studies.comparison.conduct import Launcher, StudyEnded, StudyEvent, conduct
from optlab.studies.comparison.protocols import same_protocol
from optlab.studies.comparison.study import Study
from optlab.training.control import Controls

Launch = Callable[[Study], AbstractContextManager[Launcher]]
"""Returns what trains the populations of a study."""


@dataclass(frozen=True)
class ClaimBegun:
    """A claim of several is next. ``number``: its place, from 0; ``count``: how many there are."""

    claim: Claim
    number: int
    count: int


@dataclass(frozen=True)
class ClaimEnded:
    """A claim has its verdict, or none because it was stopped or failed (``reason``)."""

    claim: Claim
    outcome: ClaimOutcome | None
    reason: str = ""


ClaimEvent = ClaimBegun | ClaimEnded | StudyEvent

_CONTROL = "control of "


def names(claim: Claim) -> tuple[str, str]:
    """Return the names of a claim's study and of its control among the stored studies."""
    return f"claim {claim.id}", f"{_CONTROL}claim {claim.id}"


def of_control(name: str) -> str:
    """Return what is said before the question of a study that is the control of a claim, or "".

    Args:
        name: of the stored study.
    """
    return "Negative control: " if name.startswith(_CONTROL) else ""


def stored(store: Store, claim: Claim) -> tuple[StudyRecord | None, StudyRecord | None]:
    """Return the newest stored study and control of a claim whose protocols are the same."""
    records = store.studies()
    study, control = (
        next(
            (
                record
                for record in records
                if record.name == name
                and not record.going
                and same_protocol(record.document, asked.to_toml())
            ),
            None,
        )
        for name, asked in zip(names(claim), (claim.study, claim.control), strict=True)
    )
    return study, control


def conduct_claims(
    claims: Sequence[Claim], store: Store, launch: Launch, controls: Controls
) -> Generator[ClaimEvent, None, None]:
    """Conduct the studies and the controls of claims, one after the other.

    A claim that fails does not end the others; one that is stopped does. The events must be consumed
    to the end; a generator that is closed early stops its populations.

    Args:
        store: open for writing. launch: see :data:`Launch`.
    """
    for number, claim in enumerate(claims):
        yield ClaimBegun(claim, number, len(claims))
        reason = ""
        records: list[StudyRecord] = []
        known = stored(store, claim)
        asked = (claim.study, claim.control)
        for name, study, record in zip(names(claim), asked, known, strict=True):
            if record is None or record.status != "finished":
                ended = yield from _conduct(study, store, launch, controls, name, record)
                if ended.result is None:
                    reason = f"{name} {ended.status}: {ended.reason}"
                    yield ClaimEnded(claim, None, reason)
                    if ended.status != "failed":
                        return
                    break
        else:
            records = [record for record in stored(store, claim) if record is not None]
            yield ClaimEnded(claim, outcome(claim, *records))


def _conduct(
    study: Study,
    store: Store,
    launch: Launch,
    controls: Controls,
    name: str,
    record: StudyRecord | None,
) -> Generator[StudyEvent, None, StudyEnded]:
    """Conduct one study; one that cannot be begun or decided has failed."""
    ended: StudyEnded | None = None
    try:
        with launch(study) as launcher:
            resume = record.id if record is not None else ""
            for event in conduct(study, store, launcher, controls, name=name, resume=resume):
                yield event
                if isinstance(event, StudyEnded):
                    ended = event
    except RunFailed as error:
        return StudyEnded("failed", None, str(error))
    assert ended is not None, "a study ends with an event that says how"
    return ended
