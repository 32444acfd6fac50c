"""Comparison: questions over many runs, and how they are decided.

A study (:mod:`~optlab.studies.comparison.study`) is a base experiment, *arms* that differ from it,
and seeds. Its trials (:mod:`~optlab.studies.comparison.plan`) are ordinary runs of the store. What
is measured of each run (:mod:`~optlab.studies.comparison.outcomes`) is compared seed by seed
(:mod:`~optlab.studies.comparison.statistics`), and the statement of the study gets a verdict.
"""
