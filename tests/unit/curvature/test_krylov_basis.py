"""The vectors of Krylov spaces: orthonormal, and in memory that searches leave to one another."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from optlab.curvature import krylov_basis
from optlab.curvature.extremes import Extremes, extremes
from optlab.curvature.krylov_basis import KrylovBasis


def symmetric(runs: int, parameters: int, seed: int) -> torch.Tensor:
    source = torch.Generator().manual_seed(seed)
    matrix = torch.randn(runs, parameters, parameters, generator=source, dtype=torch.float64)
    return matrix + matrix.transpose(1, 2)


def largest(matrix: torch.Tensor, **options: int) -> Extremes:
    like = torch.zeros(matrix.shape[:2], dtype=matrix.dtype)
    return extremes(lambda v: torch.bmm(matrix, v.unsqueeze(2)).squeeze(2), like, **options)


@pytest.mark.parametrize("runs", [1, 3])
def test_vectors_are_orthonormal_and_coefficients_those_of_the_part(runs: int) -> None:
    basis = KrylovBasis(torch.zeros(runs, 40, dtype=torch.float64), 30)
    source = torch.Generator().manual_seed(1)
    first = torch.randn(runs, 40, generator=source, dtype=torch.float64)
    basis.row(0).copy_(first / first.norm(dim=1, keepdim=True))
    for dimension in range(1, 25):
        w = torch.randn(runs, 40, generator=source, dtype=torch.float64)
        expected = torch.einsum("krp,rp->rk", basis.vectors(dimension), w)
        part, length, rest = basis.orthogonalize(w, dimension)
        np.testing.assert_allclose(part, expected, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(length, rest.norm(dim=1), rtol=1e-14)
        basis.append(dimension)
    found = basis.vectors(25).transpose(0, 1)
    unit = torch.eye(25, dtype=torch.float64).expand(runs, 25, 25)
    torch.testing.assert_close(found @ found.transpose(1, 2), unit, rtol=0.0, atol=1e-13)


def test_searches_that_share_memory_have_the_results_that_they_have_alone() -> None:
    cases = [(1, 30, 1), (1, 30, 2), (2, 30, 3), (1, 60, 4), (1, 30, 5)]
    alone = []
    for runs, parameters, seed in cases:
        krylov_basis._kept.basis = None
        alone.append(largest(symmetric(runs, parameters, seed), top=2, bottom=1))
    together = [largest(symmetric(*case), top=2, bottom=1) for case in cases]
    for one, other in zip(alone, together, strict=True):
        assert torch.equal(one.top, other.top)
        assert torch.equal(one.top_vectors, other.top_vectors)
        assert torch.equal(one.bottom_vectors, other.bottom_vectors)


def test_a_search_within_a_product_has_memory_of_its_own() -> None:
    outer, inner = symmetric(1, 30, 1), symmetric(1, 30, 2)
    expected, expected_inside = largest(outer), largest(inner)
    inside: list[Extremes] = []

    def product(v: torch.Tensor) -> torch.Tensor:
        inside.append(largest(inner))
        return torch.bmm(outer, v.unsqueeze(2)).squeeze(2)

    found = extremes(product, torch.zeros(1, 30, dtype=torch.float64))
    assert torch.equal(found.top_vectors, expected.top_vectors)
    assert all(torch.equal(one.top_vectors, expected_inside.top_vectors) for one in inside)


def test_threads_do_not_share_memory() -> None:
    matrices = [symmetric(1, 40, seed) for seed in range(8)]
    expected = [largest(matrix) for matrix in matrices]
    with ThreadPoolExecutor(4) as threads:
        for _ in range(5):
            found = list(threads.map(largest, matrices))
            for one, other in zip(expected, found, strict=True):
                assert torch.equal(one.top_vectors, other.top_vectors)


def test_memory_that_is_large_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = symmetric(1, 30, 1)
    largest(matrix)
    assert krylov_basis._kept.basis is not None
    monkeypatch.setattr(krylov_basis, "_KEPT_VALUES", 100)
    largest(matrix)
    assert krylov_basis._kept.basis is None


def test_there_is_memory_for_no_more_vectors_than_there_may_be() -> None:
    basis = KrylovBasis(torch.zeros(1, 50), 12)
    for index in range(12):
        basis.row(index).fill_(float(index))
    assert len(basis.vectors(100)) == 12
    assert basis.vectors(12)[:, 0, 0].tolist() == [float(index) for index in range(12)]
