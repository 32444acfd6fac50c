"""Lanczos against full eigendecompositions."""

from __future__ import annotations

import pytest
import torch

from optlab.numerics.conjugate_gradients import Product
from optlab.numerics.lanczos import lanczos


def symmetric(runs: int, size: int) -> torch.Tensor:
    a = torch.randn(
        runs, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    return a + a.transpose(1, 2)


def draw(runs: int, size: int) -> torch.Tensor:
    return torch.randn(runs, size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def product_with(a: torch.Tensor) -> Product:
    return lambda v: torch.einsum("rpq,rq->rp", a, v)


def test_that_the_basis_is_orthonormal_begins_with_the_start_and_makes_the_matrix_tridiagonal() -> (
    None
):
    a, start = symmetric(2, 30), draw(2, 30)
    space = lanczos(product_with(a), start, 12)
    eye = torch.eye(12, dtype=torch.float64).expand(2, 12, 12)
    torch.testing.assert_close(space.basis @ space.basis.transpose(1, 2), eye, rtol=0.0, atol=1e-13)
    torch.testing.assert_close(space.basis[:, 0], start / start.norm(dim=1, keepdim=True))
    torch.testing.assert_close(
        space.basis @ a @ space.basis.transpose(1, 2), space.matrix, rtol=0.0, atol=1e-11
    )
    assert torch.equal(space.matrix, space.matrix.triu(-1).tril(1))
    assert space.sizes.tolist() == [12, 12]


def test_that_a_full_space_holds_all_eigenvalues_and_vectors() -> None:
    a = symmetric(2, 10)
    values, vectors = lanczos(product_with(a), draw(2, 10), 99).eigen()
    torch.testing.assert_close(values, torch.linalg.eigvalsh(a), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(vectors @ a, values.unsqueeze(2) * vectors, rtol=1e-8, atol=1e-9)


def test_that_orthogonality_outlasts_converged_eigenvalues() -> None:
    """Without reorthogonalization a dominant eigenvalue comes back as a ghost."""
    spectrum = torch.cat(
        [
            torch.linspace(0.0, 1.0, 58, dtype=torch.float64),
            torch.tensor([1e4, 1e6], dtype=torch.float64),
        ]
    )
    q = torch.linalg.qr(symmetric(1, 60)[0]).Q
    a = (q * spectrum @ q.T).unsqueeze(0)
    space = lanczos(product_with(a), draw(1, 60), 40)
    gram = space.basis[0] @ space.basis[0].T
    size = int(space.sizes)
    torch.testing.assert_close(
        gram[:size, :size], torch.eye(size, dtype=torch.float64), rtol=0.0, atol=1e-12
    )
    assert (space.eigen()[0][0] > 2.0).sum() == 2


def test_that_an_invariant_space_ends_the_run_whose_space_it_is() -> None:
    a = torch.diag_embed(torch.stack([torch.arange(1.0, 9.0), torch.ones(8)]).double())
    start = torch.zeros(2, 8, dtype=torch.float64)
    start[0, [1, 4, 6]] = 1.0
    start[1] = 1.0
    space = lanczos(product_with(a), start, 6)
    assert space.sizes.tolist() == [3, 1]
    assert not space.basis[0, 3:].any() and not space.basis[1, 1:].any()
    values = space.eigen()[0][0]
    torch.testing.assert_close(
        values[values > 0.5], torch.tensor([2.0, 5.0, 7.0], dtype=torch.float64)
    )


@pytest.mark.parametrize("exponent", [-60, 60])
def test_that_the_end_of_a_space_does_not_depend_on_the_unit_of_the_matrix(exponent: int) -> None:
    """Powers of two are exact: the same space, and a matrix in the other unit."""
    q = torch.linalg.qr(symmetric(1, 12)[0]).Q
    spectrum = torch.tensor([1.0, 2.0, 4.0, 4.5] * 3, dtype=torch.float64)
    a, start = (q * spectrum @ q.T).unsqueeze(0), draw(1, 12)
    space = lanczos(product_with(a), start, 12)
    assert space.sizes.tolist() == [4], "as many as there are distinct eigenvalues"
    scaled = lanczos(product_with(2.0**exponent * a), start, 12)
    assert scaled.sizes.tolist() == [4]
    assert torch.equal(scaled.basis, space.basis)
    assert torch.equal(scaled.matrix, 2.0**exponent * space.matrix)


def test_that_runs_of_different_sizes_get_in_company_what_they_get_alone() -> None:
    a, start = symmetric(3, 9), draw(3, 9)
    start[2] = 0.0
    sizes = torch.tensor([[2.0], [6.0], [4.0]], dtype=torch.float64)
    together = lanczos(product_with(a), start, sizes)
    assert together.sizes.tolist() == [2, 6, 0]
    for run, size in ((0, 2), (1, 6)):
        alone = lanczos(product_with(a[run : run + 1]), start[run : run + 1], size)
        torch.testing.assert_close(
            together.basis[run, :size], alone.basis[0], rtol=1e-11, atol=1e-12
        )
        torch.testing.assert_close(
            together.matrix[run, :size, :size], alone.matrix[0], rtol=1e-11, atol=1e-12
        )
        assert not together.matrix[run, size:].any()
