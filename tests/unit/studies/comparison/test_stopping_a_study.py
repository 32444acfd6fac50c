"""A population that does not react to Stop does not keep a study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from optlab.experiment import Experiment
from optlab.store import Store
from optlab.studies.comparison import reading
from optlab.studies.comparison.conduct import StudyProgress, conduct
from optlab.training.control import Inbox, Message, Stop
from optlab.training.events import Event


class Stubborn:
    """A population that ends only when it is cancelled."""

    def __init__(self, run_ids: tuple[str, ...]) -> None:
        self.run_ids = run_ids
        self.alive = True
        self.sent: list[Message] = []

    def drain(self) -> list[Event]:
        return []

    def wait(self, timeout: float | None = None) -> bool:
        return False

    def send(self, message: Message) -> None:
        self.sent.append(message)

    def cancel(self) -> None:
        self.alive = False

    def join(self, timeout: float | None = None) -> bool:
        return not self.alive


class Launcher:
    slots = 1

    def __init__(self, store: Store) -> None:
        self._store = store
        self.jobs: list[Stubborn] = []

    def start(self, experiments: Sequence[Experiment]) -> Stubborn:
        writer = self._store.begin(experiments, "thread")
        writer.close()
        self.jobs.append(Stubborn(writer.run_ids))
        return self.jobs[-1]

    def resume(self, run_ids: Sequence[str]) -> Stubborn:
        raise AssertionError("nothing is resumed")


def test_that_a_study_that_is_being_stopped_can_be_ended_at_once(tmp_path: Path) -> None:
    study = reading.from_dict(
        {
            "base": "iris-softmax",
            "arms": {"a": {}, "b": {"optimizer": {"lr": 0.5}}},
            "measure": {"of": "train_loss"},
        }
    )
    with Store.open(tmp_path) as store:
        launcher, inbox = Launcher(store), Inbox()
        events = conduct(study, store, launcher, inbox)
        while not launcher.jobs:
            next(events)
        inbox.put(Stop())
        stopping = next(e for e in events if isinstance(e, StudyProgress) and e.words == "stopping")
        (job,) = launcher.jobs
        assert stopping.run_ids == job.run_ids
        assert job.sent == [Stop()] and job.alive
        events.close()
        assert not job.alive
        assert store.studies()[0].status == "interrupted"
