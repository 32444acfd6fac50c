"""Seeds: the same for the same purpose, unrelated for any two."""

from __future__ import annotations

import torch

from optlab.objective.seeding import derived, generator, generators


def test_that_a_purpose_always_draws_the_same() -> None:
    first = torch.randn(5, generator=generator(3, "start"))
    assert torch.equal(first, torch.randn(5, generator=generators(3)("start")))
    assert derived(3, "start") == derived(3, "start")


def test_that_seeds_and_purposes_draw_independently() -> None:
    draws = torch.stack(
        [
            torch.randn(4000, generator=generator(seed, purpose))
            for seed in (0, 1, 11)
            for purpose in ("start", "batches", "1:start")
        ]
    )
    correlations = torch.corrcoef(draws) - torch.eye(len(draws))
    assert correlations.abs().max() < 5.0 / 4000**0.5


def test_that_seed_and_purpose_cannot_be_confused() -> None:
    assert (
        len(
            {
                derived(seed, purpose)
                for seed in range(50)
                for purpose in ("a", "b", "batches/0", "batches/1")
            }
        )
        == 200
    )


def test_that_derived_seeds_fit_what_torch_takes() -> None:
    assert all(0 <= derived(seed, "start") < 2**63 for seed in (0, 1, 2**63 - 1))


def test_that_drawing_leaves_torchs_own_generator_alone() -> None:
    before = torch.random.get_rng_state()
    torch.randn(5, generator=generator(3, "start"))
    assert torch.equal(before, torch.random.get_rng_state())
