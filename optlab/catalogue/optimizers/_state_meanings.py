"""What entries of the state are that several rules have: a fork takes them over from rule to rule."""

from __future__ import annotations

VELOCITY = "velocity, in units of the parameters"
ACCUMULATED = "accumulated gradients, to which the rate is applied afterwards"
MEAN_GRADIENT = "running average of gradients"
MEAN_SQUARE = "running average of squared gradients"
