"""The compression of templates keeps its word."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg

from orchestrator.physics.templates import compress


def _templates(n_t: int = 60, n_pix: int = 400, decay: float = 0.5) -> np.ndarray:
    """Return mixtures whose brightness spans ten orders of magnitude; component k is `decay`**k strong."""
    rng = np.random.default_rng(8)
    components = np.abs(rng.normal(1, 0.3, (n_t, n_pix)))
    mixture = rng.normal(size=(n_t, n_t)) * decay ** np.arange(n_t)
    mixture[:, 0] = rng.uniform(1, 2, n_t)
    return mixture @ components * 10.0 ** -rng.uniform(0, 10, n_t)[:, None]


def _largest_error(templates: np.ndarray, approximation: np.ndarray) -> float:
    return float((np.abs(approximation - templates).max(axis=1) / np.abs(templates).mean(axis=1)).max())


@pytest.mark.parametrize("allowed", [1e-2, 1e-4, 1e-5, 1e-6, 1e-9])
def test_every_pixel_of_every_template_is_within_the_error(allowed: float) -> None:
    templates = _templates()
    basis = compress(templates, allowed)
    rank = len(basis.basis)
    assert basis.coefficients.shape == (60, rank)
    assert basis.basis.shape == (rank, 400)
    assert 0 < rank < 48
    assert 0 < basis.relative_error <= allowed
    assert basis.relative_error == pytest.approx(_largest_error(templates, basis.reconstruct()), rel=1e-3)


@pytest.mark.parametrize("allowed", [1e-3, 1e-5])
def test_one_rank_less_would_break_the_limit(allowed: float) -> None:
    templates = _templates()
    rank = len(compress(templates, allowed).basis)
    scale = np.abs(templates).mean(axis=1)[:, None]
    left, singular, right = linalg.svd(templates / scale, full_matrices=False)
    errors = [
        _largest_error(templates, scale * ((left[:, :r] * singular[:r]) @ right[:r]))
        for r in (rank - 1, rank)
    ]
    assert errors[0] > allowed >= errors[1]


def test_faint_templates_are_kept_as_well_as_bright_ones() -> None:
    templates = _templates()
    # Without normalisation, a decomposition of this rank forgets the faint half.
    basis = compress(templates, 1e-5)
    left, singular, right = linalg.svd(templates, full_matrices=False)
    rank = len(basis.basis)
    naive = (left[:, :rank] * singular[:rank]) @ right[:rank]
    assert _largest_error(templates, naive) > 10 * basis.relative_error


def test_what_cannot_be_compressed_is_returned_exactly() -> None:
    templates = np.random.default_rng(9).normal(size=(20, 100))
    for basis in (compress(templates, 1e-5), compress(_templates(), 0.0)):
        assert basis.relative_error == 0.0
        np.testing.assert_array_equal(basis.coefficients, np.eye(len(basis.basis)))
    np.testing.assert_array_equal(compress(templates).reconstruct(), templates)
    np.testing.assert_array_equal(compress(templates[:1]).reconstruct(), templates[:1])


def test_repeated_templates_collapse_and_empty_ones_stay_empty() -> None:
    one = 1 + np.random.default_rng(10).random(50)
    basis = compress(np.concatenate([np.outer([1.0, 2.0, 1e-8, 5.0], one), np.zeros((1, 50))]))
    assert basis.basis.shape == (1, 50)
    np.testing.assert_allclose(basis.reconstruct()[3], 5 * one, rtol=1e-12)
    np.testing.assert_allclose(basis.reconstruct()[4], 0.0, atol=1e-12)


def test_more_templates_than_pixels() -> None:
    templates = _templates(n_t=60, n_pix=30)
    basis = compress(templates, 1e-5)
    assert len(basis.basis) <= 30
    assert _largest_error(templates, basis.reconstruct()) <= 1e-5


def test_wrong_input_is_refused() -> None:
    with pytest.raises(ValueError, match="finite numbers"):
        compress(np.array([[1.0, np.nan], [1.0, 2.0]]))
    with pytest.raises(ValueError, match="max_relative_error is -1"):
        compress(np.ones((3, 4)), -1.0)
