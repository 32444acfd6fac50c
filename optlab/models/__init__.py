"""Models: functions of parameters and inputs, written for R runs at once."""
