"""Effects and intervals of comparisons, against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from optlab.studies.comparison.rule import Rule
from optlab.studies.comparison.samples import Sample
from optlab.studies.comparison.statistics import compare

A = np.array([4.1, 3.9, 5.2, 4.4, 6.0, 4.9, 5.5, 4.2])
B = np.array([3.0, 3.1, 4.9, 3.9, 4.1, 5.0, 4.4, 3.6])


def test_that_a_paired_comparison_has_the_t_interval_of_the_differences() -> None:
    arms = {"a": Sample.exact(A), "b": Sample.exact(B)}
    (found,) = compare(arms, [("a", ">", "b")], Rule("difference", 0.0))
    expected = stats.ttest_rel(A, B)
    assert found.interval == pytest.approx(tuple(expected.confidence_interval(0.95)), rel=1e-12)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-12) == found.p_adjusted
    assert (found.verdict, found.level) == ("supported", 0.95)
