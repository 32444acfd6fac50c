"""Generated text and images: what no model can do better is what their distribution says."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from optlab.core import registry


def make(name: str, **values: Any) -> Any:
    return registry.build("dataset", {"name": name, **values})


def test_that_the_text_has_the_transitions_and_the_entropy_rate_that_it_states() -> None:
    text = make("markov_text", characters=5, window=3, concentration=0.5)
    x, y = text.draw(np.random.default_rng(0), 200_000)
    assert x.shape == (200_000, 3, 5) and np.array_equal(x.sum(axis=2), np.ones((200_000, 3)))
    shown = x.argmax(axis=2)
    chain = text.transitions()
    for before, after in ((shown[:, 0], shown[:, 1]), (shown[:, 2], y)):
        counts = np.zeros((5, 5))
        np.add.at(counts, (before, after), 1)
        seen = counts.sum(axis=1, keepdims=True)
        assert (abs(counts / seen - chain) < 5 * np.sqrt(chain * (1 - chain) / seen) + 1e-3).all()
        np.testing.assert_allclose(counts.sum(axis=1) / len(y), text.equilibrium(), atol=0.005)
    losses = -np.log(chain[shown[:, 2], y])
    np.testing.assert_array_equal(text.expected(x[:100]), chain[shown[:100, 2]])
    assert losses.mean() == pytest.approx(
        text.entropy_rate(), abs=5 * losses.std() / math.sqrt(2e5)
    )
    wrong = (chain[shown[:, 2]].argmax(axis=1) != y).mean()
    assert wrong == pytest.approx(text.bayes_error(), abs=0.005)


def test_that_text_of_equal_successors_has_the_entropy_of_a_die() -> None:
    text = make("markov_text", characters=6, concentration=1e7)
    assert text.entropy_rate() == pytest.approx(math.log(6), abs=1e-4)
    assert text.bayes_error() == pytest.approx(5 / 6, abs=1e-3)


def test_that_the_glyphs_are_ten_different_images_inside_the_frame_at_every_place() -> None:
    glyphs = make("shifted_glyphs", shift=4)
    places = glyphs.placed()
    assert places.shape == (10, 81, 28, 28)
    assert set(np.unique(places)) == {0.0, 1.0}
    assert len({one.tobytes() for one in places.reshape(810, -1)}) == 810
    glyph = make("shifted_glyphs", shift=0).placed()[:, 0]
    for edge in (glyph[:, :4], glyph[:, -4:], glyph[:, :, :4], glyph[:, :, -4:]):
        assert not edge.any()  # so that no shift of 4 brings a segment back on the other side


def test_that_the_best_classifier_of_two_glyphs_errs_as_the_normal_distribution_says() -> None:
    glyphs = make("shifted_glyphs", shift=0, noise=4.0)
    x, y = glyphs.draw(np.random.default_rng(1), 40_000)
    posterior = glyphs.expected(x)
    assert posterior.shape == (40_000, 10)
    np.testing.assert_allclose(posterior.sum(axis=1), 1.0)
    distance = np.linalg.norm(glyphs.placed()[3, 0] - glyphs.placed()[8, 0])
    pair = np.isin(y, (3, 8))
    wrong = (posterior[pair][:, 3] > posterior[pair][:, 8]) != (y[pair] == 3)
    assert wrong.mean() == pytest.approx(norm.cdf(-distance / 8.0), abs=0.015)


def test_that_the_posterior_of_shifted_glyphs_is_calibrated() -> None:
    glyphs = make("shifted_glyphs", shift=2, noise=2.5)
    x, y = glyphs.draw(np.random.default_rng(2), 6000)
    posterior = glyphs.expected(x)
    expected = 1.0 - posterior.max(axis=1).mean()
    wrong = (posterior.argmax(axis=1) != y).mean()
    assert 0.02 < wrong < 0.9
    assert wrong == pytest.approx(expected, abs=4 * math.sqrt(expected / 6000))
