"""Least squares for the lines of a residual spectrum: linear in the fluxes, a search in the kinematics."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray

from orchestrator.observation.masks import EmissionLine
from orchestrator.physics.constants import SPEED_OF_LIGHT_KMS

__all__ = ["BlendProblem", "BlendSolution", "Kinematics", "LineSolution", "solve_lines"]

FloatArray = NDArray[np.float64]

_VELOCITY_REACH = 600.0  # km/s on either side of the start
_DISPERSIONS = (1.0, 1000.0)  # km/s, smallest and largest
_TRIAL_VELOCITIES = np.linspace(-480.0, 480.0, 13)
_TRIAL_DISPERSIONS = (60.0, 150.0, 300.0)
_STEP = 0.5  # km/s, of the derivatives that give the errors


@dataclass(frozen=True)
class Kinematics:
    """Velocity and dispersion of lines, km/s; errors are NaN where they were not fitted."""

    velocity: float
    dispersion: float
    velocity_error: float = float("nan")
    dispersion_error: float = float("nan")


@dataclass(frozen=True)
class BlendProblem:
    """Lines that are fitted together, and their pixels.

    Attributes
    ----------
    lines : tuple of EmissionLine
    centres, lsf_sigma : ndarray (n_lines,)
        Wavelength at no velocity and dispersion of the instrument there [Angstrom, observed frame].
    low_edges, high_edges, residual, uncertainty : ndarray (n_pixels,)
    segment : ndarray of int (n_pixels,)
        Which stretch of neighbouring lines a pixel belongs to: each has a baseline of its own.
    continuum : ndarray (n_lines,)
        Of the stars.
    """

    lines: tuple[EmissionLine, ...]
    centres: FloatArray
    lsf_sigma: FloatArray
    low_edges: FloatArray
    high_edges: FloatArray
    residual: FloatArray
    uncertainty: FloatArray
    segment: NDArray[np.int64]
    continuum: FloatArray

    @property
    def names(self) -> set[str]:
        """Names of the lines."""
        return {line.name for line in self.lines}

    @cached_property
    def sharing(self) -> FloatArray:
        """Flux of each line per free flux, shape (n_lines, n_free): tied lines have a share of their line's."""
        names = [line.name for line in self.lines]
        free = [i for i, line in enumerate(self.lines) if line.tied_to not in names]
        matrix = np.zeros((len(names), len(free)))
        for i, line in enumerate(self.lines):
            if line.tied_to in names:
                matrix[i, free.index(names.index(line.tied_to))] = 1.0 / line.ratio
            else:
                matrix[i, free.index(i)] = 1.0
        return matrix

    @cached_property
    def baseline(self) -> FloatArray:
        """A constant and a slope for each stretch, shape (n_pixels, 2 n_segments)."""
        middle = 0.5 * (self.low_edges + self.high_edges)
        columns = []
        for segment in np.unique(self.segment):
            inside = self.segment == segment
            x = middle - middle[inside].mean()
            columns += [inside * 1.0, inside * x / max(float(np.ptp(middle[inside])), 1e-30)]
        return np.stack(columns, axis=1)

    @property
    def is_determined(self) -> bool:
        """Whether there are more pixels than there is to find out."""
        if not len(self.residual):
            return False
        return len(self.residual) >= self.sharing.shape[1] + self.baseline.shape[1] + 3

    def profiles(self, kinematics: Kinematics) -> FloatArray:
        """Return lines of unit flux, averaged over each pixel, shape (n_pixels, n_lines) [1/Angstrom]."""
        from scipy.special import ndtr

        centre = self.centres * np.exp(kinematics.velocity / SPEED_OF_LIGHT_KMS)
        sigma = np.hypot(centre * kinematics.dispersion / SPEED_OF_LIGHT_KMS, self.lsf_sigma)
        high = ndtr((self.high_edges[:, None] - centre) / sigma)
        low = ndtr((self.low_edges[:, None] - centre) / sigma)
        return np.asarray((high - low) / (self.high_edges - self.low_edges)[:, None])

    def design(self, kinematics: Kinematics) -> FloatArray:
        """Return the whitened design matrix: free fluxes, then the baseline."""
        columns = np.concatenate([self.profiles(kinematics) @ self.sharing, self.baseline], axis=1)
        return columns / self.uncertainty[:, None]

    @cached_property
    def whitened(self) -> FloatArray:
        """Residual over uncertainty, shape (n_pixels,)."""
        return self.residual / self.uncertainty

    def solve(self, kinematics: Kinematics) -> tuple[FloatArray, FloatArray]:
        """Return the best linear parameters and what remains, whitened."""
        design, scale = self._scaled(kinematics)
        parameters = np.linalg.lstsq(design, self.whitened, rcond=1e-10)[0]
        return parameters / scale, self.whitened - design @ parameters

    def _scaled(self, kinematics: Kinematics) -> tuple[FloatArray, FloatArray]:
        design = self.design(kinematics)
        scale = np.linalg.norm(design, axis=0)
        scale = np.where(scale > 0.0, scale, 1.0)
        return design / scale, scale


@dataclass(frozen=True)
class BlendSolution:
    """Fluxes of the lines of a blend with errors, shape (n_lines,), and their kinematics."""

    flux: FloatArray
    flux_error: FloatArray
    kinematics: Kinematics
    reduced_chi2: float


@dataclass(frozen=True)
class LineSolution:
    """The solution of each blend; `measured` says whether the kinematics were fitted at all."""

    blends: tuple[BlendSolution, ...] = field(default=())
    measured: bool = False


def solve_lines(
    problems: list[BlendProblem], start: Kinematics, *, per_blend: bool, needed: float
) -> LineSolution:
    """Solve for all lines.

    Parameters
    ----------
    problems : list of BlendProblem
    start : Kinematics
        Velocity about which to search, and what faint lines have.
    per_blend : bool
        Fit each blend with a line brighter than `needed` on its own after all were fitted together.
    needed : float
        Signal-to-noise ratio of the brightest line from which the kinematics are free.
    """
    if not problems:
        return LineSolution()
    best = _search(problems, start)
    if _brightest(problems, best) < needed:
        fixed = replace(start, velocity_error=float("nan"), dispersion_error=float("nan"))
        return LineSolution(tuple(_at_fixed_kinematics(problem, fixed) for problem in problems), False)
    blends = list(_with_errors(problems, best))
    if per_blend:
        for index, (problem, blend) in enumerate(zip(problems, blends, strict=True)):
            if float((blend.flux / blend.flux_error).max()) >= needed:
                blends[index] = _with_errors([problem], _search([problem], blend.kinematics))[0]
    return LineSolution(tuple(blends), True)


def _search(problems: list[BlendProblem], start: Kinematics) -> Kinematics:
    """Return the velocity and dispersion of least chi2: trials on a grid, then least squares."""
    from scipy.optimize import least_squares

    def remains(values: FloatArray) -> FloatArray:
        point = Kinematics(float(values[0]), float(values[1]))
        return np.concatenate([problem.solve(point)[1] for problem in problems])

    bounds = (
        [start.velocity - _VELOCITY_REACH, _DISPERSIONS[0]],
        [start.velocity + _VELOCITY_REACH, _DISPERSIONS[1]],
    )
    trials = [
        np.array([start.velocity + dv, dispersion])
        for dv, dispersion in product(_TRIAL_VELOCITIES, (*_TRIAL_DISPERSIONS, start.dispersion))
    ]
    trial = min(trials, key=lambda values: float((remains(values) ** 2).sum()))
    result = least_squares(remains, trial, bounds=bounds, x_scale=(10.0, 10.0), diff_step=1e-3, xtol=1e-8)
    return Kinematics(float(result.x[0]), float(result.x[1]))


def _brightest(problems: list[BlendProblem], kinematics: Kinematics) -> float:
    ratios = [_at_fixed_kinematics(problem, kinematics) for problem in problems]
    return max(float((ratio.flux / ratio.flux_error).max()) for ratio in ratios)


def _at_fixed_kinematics(problem: BlendProblem, kinematics: Kinematics) -> BlendSolution:
    parameters, remains = problem.solve(kinematics)
    design, scale = problem._scaled(kinematics)
    covariance = np.linalg.pinv(design.T @ design, hermitian=True, rcond=1e-12) / np.outer(scale, scale)
    return _solution(problem, parameters, covariance, remains, kinematics, 0)


def _with_errors(problems: list[BlendProblem], kinematics: Kinematics) -> tuple[BlendSolution, ...]:
    """Return the solutions with the covariance of fluxes, baselines and kinematics together."""
    solved = [problem.solve(kinematics) for problem in problems]
    matrices, cross, corner = [], [], np.zeros((2, 2))
    for problem, (parameters, _) in zip(problems, solved, strict=True):
        design, scale = problem._scaled(kinematics)
        slopes = _derivatives(problem, parameters, kinematics)
        matrices.append((np.linalg.pinv(design.T @ design, hermitian=True, rcond=1e-12), scale))
        cross.append(design.T @ slopes)
        corner += slopes.T @ slopes
    # The matrix is blocks along the diagonal with two rows for the kinematics: their Schur complement.
    for (inverse, _), block in zip(matrices, cross, strict=True):
        corner -= block.T @ inverse @ block
    kinematic_covariance = np.linalg.pinv(corner, hermitian=True)
    errors = np.sqrt(np.maximum(np.diag(kinematic_covariance), 0.0))
    kinematics = replace(kinematics, velocity_error=float(errors[0]), dispersion_error=float(errors[1]))
    blends = []
    for index, problem in enumerate(problems):
        (parameters, remains), (inverse, scale) = solved[index], matrices[index]
        along = inverse @ cross[index]
        covariance = (inverse + along @ kinematic_covariance @ along.T) / np.outer(scale, scale)
        blends.append(_solution(problem, parameters, covariance, remains, kinematics, 2))
    return tuple(blends)


def _derivatives(problem: BlendProblem, parameters: FloatArray, kinematics: Kinematics) -> FloatArray:
    """Return the derivatives of the whitened model by velocity and dispersion, shape (n_pixels, 2)."""
    v, sigma = kinematics.velocity, kinematics.dispersion
    lower = max(sigma - _STEP, 0.0)
    pairs = (
        (Kinematics(v + _STEP, sigma), Kinematics(v - _STEP, sigma), 2.0 * _STEP),
        (Kinematics(v, sigma + _STEP), Kinematics(v, lower), sigma + _STEP - lower),
    )
    columns = [(problem.design(high) - problem.design(low)) @ parameters / step for high, low, step in pairs]
    return np.stack(columns, axis=1)


def _solution(
    problem: BlendProblem,
    parameters: FloatArray,
    covariance: FloatArray,
    remains: FloatArray,
    kinematics: Kinematics,
    n_kinematic: int,
) -> BlendSolution:
    n_free = problem.sharing.shape[1]
    own = covariance[:n_free, :n_free]
    variance = np.einsum("ij,jk,ik->i", problem.sharing, own, problem.sharing)
    freedom = max(len(remains) - len(parameters) - n_kinematic, 1)
    return BlendSolution(
        flux=problem.sharing @ parameters[:n_free],
        flux_error=np.sqrt(np.maximum(variance, 1e-300)),
        kinematics=kinematics,
        reduced_chi2=float((remains**2).sum() / freedom),
    )
