"""Moves of the ensemble sampler, by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from emcee import moves as emcee_moves
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular

from orchestrator.errors import ConfigError, nearest_known
from orchestrator.fit.samplers.mixture_move import MixtureMove

__all__ = ["MOVES", "EnsembleGaussianMove", "SnookerMove", "parse_moves"]

FloatArray = NDArray[np.float64]

MOVES = ("stretch", "de", "snooker", "kde", "walk", "gaussian", "mixture")
"""stretch and walk: Goodman & Weare 2010; de: differential evolution, Nelson et al. 2014; kde: kernel density
of the other half of the ensemble; snooker, gaussian, mixture: :class:`SnookerMove`, :class:`EnsembleGaussianMove`,
:class:`~orchestrator.fit.samplers.mixture_move.MixtureMove`."""


class EnsembleGaussianMove(emcee_moves.RedBlueMove):
    """Independent proposals from a t distribution with the mean and covariance of the other half.

    The proposal of one half depends on the other half alone, so the Metropolis-Hastings ratio with both
    proposal densities keeps the posterior exact (Foreman-Mackey et al. 2013, PASP 125, 306, section 2).
    Where the posterior is close to Gaussian most proposals are accepted and consecutive steps are nearly
    independent. The tails of the t distribution keep walkers far out from staying there.

    Parameters
    ----------
    degrees_of_freedom : float
    """

    def __init__(self, degrees_of_freedom: float = 10.0, **keywords: Any) -> None:
        self.degrees_of_freedom = degrees_of_freedom
        super().__init__(**keywords)

    def get_proposal(
        self, sample: FloatArray, complement: Sequence[FloatArray], random: np.random.RandomState
    ) -> tuple[FloatArray, FloatArray]:
        """Return proposals, shape of `sample`, and the logarithm of the ratio of their densities."""
        others = np.concatenate(list(complement), axis=0)
        n_points, n_varied = sample.shape
        centre = others.mean(axis=0)
        root = _root(np.cov(others, rowvar=False).reshape(n_varied, n_varied))
        normal = random.standard_normal((n_points, n_varied))
        scale = np.sqrt(self.degrees_of_freedom / random.chisquare(self.degrees_of_freedom, n_points))
        proposals = centre + (normal * scale[:, None]) @ root.T
        ratio = self._log_density(sample - centre, root) - self._log_density(proposals - centre, root)
        return proposals, ratio

    def _log_density(self, offset: FloatArray, root: FloatArray) -> FloatArray:
        whitened = solve_triangular(root, offset.T, lower=True)
        square = (whitened**2).sum(axis=0)
        n_varied = offset.shape[1]
        return np.asarray(
            -0.5 * (self.degrees_of_freedom + n_varied) * np.log1p(square / self.degrees_of_freedom)
        )


class SnookerMove(emcee_moves.RedBlueMove):
    """Differential evolution along the line to another walker (ter Braak & Vrugt 2008, Stat. Comput. 18, 435).

    ``x' = x + gamma (P z1 - P z2)``, P the projection onto the line from z to x, and the ratio of the densities
    is ``(|x' - z| / |x - z|)**(n_varied - 1)`` (their equations 3 and 4). emcee's own ``DESnookerMove`` (3.1.6)
    halves that exponent and scales the step by ``|x - z|``, and its posteriors come out too narrow.
    """

    def get_proposal(
        self, sample: FloatArray, complement: Sequence[FloatArray], random: np.random.RandomState
    ) -> tuple[FloatArray, FloatArray]:
        """Return proposals, shape of `sample`, and the logarithm of the ratio of their densities."""
        others = np.concatenate(list(complement), axis=0)
        n_points, n_varied = sample.shape
        chosen = random.random_sample((n_points, len(others))).argpartition(2, axis=1)[:, :3]
        # argpartition leaves the three in an order that the index biases.
        chosen = np.take_along_axis(chosen, random.random_sample(chosen.shape).argsort(axis=1), axis=1)
        z, first, second = (others[chosen[:, k]] for k in range(3))
        line = sample - z
        length = np.linalg.norm(line, axis=1)
        unit = line / length[:, None]
        gamma = random.uniform(1.2, 2.2, n_points)
        proposals = sample + (gamma * ((first - second) * unit).sum(axis=1))[:, None] * unit
        ratio = (n_varied - 1) * np.log(np.linalg.norm(proposals - z, axis=1) / length)
        return proposals, ratio


def _root(covariance: FloatArray) -> FloatArray:
    """Cholesky factor; a ridge of 1e-9 of each variance keeps it defined for an ensemble in a plane."""
    variance = np.maximum(np.diag(covariance), 1e-300)
    return np.asarray(cholesky(covariance + np.diag(1e-9 * variance), lower=True))


def parse_moves(text: str, stretch_scale: float = 2.0) -> list[tuple[Any, float]]:
    """Return emcee's moves and their weights.

    Parameters
    ----------
    text : str
        Names, each with an optional weight: ``de:0.8 snooker:0.2``, ``stretch``.
    stretch_scale : float
        The parameter ``a`` of the stretch move.

    Raises
    ------
    ConfigError
        For an unknown name or a weight that is no positive number.
    """
    words = text.replace(",", " ").split()
    moves: list[tuple[Any, float]] = []
    for word in words:
        name, _, weight_text = word.partition(":")
        if name.lower() not in MOVES:
            msg = f"moves = {text!r}: unknown move {name!r}{nearest_known(name, MOVES)}"
            raise ConfigError(msg)
        moves.append((_make_move(name.lower(), stretch_scale), _weight(weight_text or "1", word, text)))
    if not moves:
        msg = f"moves = {text!r} names no move; expected for example 'de:0.8 snooker:0.2' of {', '.join(MOVES)}"
        raise ConfigError(msg)
    return moves


def _weight(weight_text: str, word: str, text: str) -> float:
    try:
        weight = float(weight_text)
    except ValueError:
        weight = float("nan")
    if not weight > 0 or not np.isfinite(weight):
        msg = f"moves = {text!r}: the weight in {word!r} must be a positive number"
        raise ConfigError(msg)
    return weight


def _make_move(name: str, stretch_scale: float) -> Any:
    if name == "stretch":
        return emcee_moves.StretchMove(a=stretch_scale)
    if name == "de":
        return emcee_moves.DEMove()
    if name == "snooker":
        return SnookerMove()
    if name == "kde":
        return emcee_moves.KDEMove()
    if name == "walk":
        return emcee_moves.WalkMove()
    if name == "mixture":
        return MixtureMove(EnsembleGaussianMove())
    return EnsembleGaussianMove()
