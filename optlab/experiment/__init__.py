"""An experiment: what is asked for, one TOML file.

:class:`Experiment` is the way in.
"""

from optlab.experiment.changes import suited_loss
from optlab.experiment.experiment import FORMAT, LARGEST_FILE, Experiment
from optlab.experiment.sections import PLAIN_SECTIONS, SECTIONS, General

__all__ = [
    "FORMAT",
    "LARGEST_FILE",
    "PLAIN_SECTIONS",
    "SECTIONS",
    "Experiment",
    "General",
    "suited_loss",
]
