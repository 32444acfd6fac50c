"""Experiments: all components and settings of a run as one validated TOML file.

Start from :class:`Experiment`.
"""

from optlab.experiment.changes import suited_initializer, suited_loss
from optlab.experiment.experiment import FORMAT, Experiment
from optlab.experiment.sections import PLAIN_SECTIONS, SECTIONS, General

__all__ = [
    "FORMAT",
    "PLAIN_SECTIONS",
    "SECTIONS",
    "Experiment",
    "General",
    "suited_initializer",
    "suited_loss",
]
