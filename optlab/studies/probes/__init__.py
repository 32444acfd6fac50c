"""Probes: numbers that the engine computes for a seed, without a run that is recorded.

A probe is an arm of a study beside those that are trained: a figure of a demonstration, the end of a
descent on a surface, a network looked at before its first step. It is a component: one file in this
folder, found by :mod:`optlab.core.registry`.
"""
