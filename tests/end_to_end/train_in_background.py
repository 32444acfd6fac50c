"""A program that trains and tells how far it is; the tests kill it. Not a test itself.

usage: train_in_background.py HOME RUNNER [RUN]
"""

from __future__ import annotations

import sys
from pathlib import Path

from optlab.experiment import Experiment
from optlab.runners import resume, train
from optlab.training.control import SetValue, TakeSnapshot
from optlab.training.events import SeriesBlock

STEPS = 8000
EXPERIMENT = {
    "dataset": {"name": "moons", "size": 200},
    "model": {"name": "mlp", "hidden": [8]},
    "optimizer": {"name": "adam"},
    "budget": {"steps": STEPS},
}
LOG = (
    (600, TakeSnapshot()),
    (900, SetValue("optimizer.lr", 0.004)),
    (1200, SetValue("optimizer.lr", 0.002)),
)


def main() -> None:
    home, runner = Path(sys.argv[1]), sys.argv[2]
    if len(sys.argv) > 3:
        owner = resume([sys.argv[3]], store=home, runner=runner)  # type: ignore[arg-type]
    else:
        owner = train([Experiment.from_dict(EXPERIMENT)], store=home, runner=runner, log=LOG)  # type: ignore[arg-type]
    print(owner.run_ids[0], flush=True)
    while owner.wait() and (events := owner.drain()):
        for event in events:
            if isinstance(event, SeriesBlock):
                print(event.step, flush=True)


if __name__ == "__main__":
    main()
