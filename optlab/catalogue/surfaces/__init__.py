"""Surfaces: functions of one or two variables, on which the path of a method can be drawn."""
