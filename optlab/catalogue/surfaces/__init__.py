"""Surfaces: functions of one and of two variables, on which methods can be watched from above."""
