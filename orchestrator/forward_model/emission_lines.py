r"""Fluxes, equivalent widths and kinematics of emission lines, from what the stars leave of a spectrum.

The model of the residual is a sum of Gaussian lines, integrated over pixels, and in each blend a straight line
that takes up what the stellar model misses of the continuum. Fluxes are linear: for each trial of velocity and
dispersion they are solved exactly (variable projection, Golub & Pereyra 1973, SIAM J. Numer. Anal. 10, 413), so
that only the kinematics are searched for. Fluxes may be negative, as only then is the mean over noise unbiased.
Lines from the same upper level have the ratio of the line list. Errors are those of all parameters together.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orchestrator.errors import DataError, nearest_known
from orchestrator.forward_model.emission_line_solver import BlendProblem, Kinematics, LineSolution, solve_lines
from orchestrator.forward_model.emission_line_table import EmissionLineMeasurement, EmissionLineMeasurements
from orchestrator.observation.masks import EmissionLine, emission_lines
from orchestrator.physics.constants import FWHM_PER_SIGMA, SPEED_OF_LIGHT_KMS
from orchestrator.physics.wavelength import pixel_edges

__all__ = ["EmissionLineMeasurement", "EmissionLineMeasurements", "measure_emission_lines"]

logger = logging.getLogger(__name__)

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

WINDOW_KMS = 1500.0
"""Pixels this close to a line are fitted; lines whose pixels overlap, or whose ratio is fixed, form a blend."""

_UNRESOLVED_KMS = 60.0  # closer lines have one flux, that of both
_LEAST_COVERAGE = 0.7  # of the pixels within a dispersion and a half of a line, for it to be measured
_KINEMATICS_FROM = 5.0  # signal-to-noise ratio of the strongest line at which the gas has kinematics of its own
_DISPERSION = 100.0  # km/s, of lines that are too faint to show theirs


def measure_emission_lines(
    wavelength: ArrayLike,
    flux: ArrayLike,
    uncertainty: ArrayLike,
    stellar_model: ArrayLike,
    *,
    redshift: float = 0.0,
    good_pixels: ArrayLike | None = None,
    lsf_fwhm: ArrayLike | None = None,
    lines: Sequence[EmissionLine | str] | None = None,
    kinematics: str = "shared",
    velocity: float = 0.0,
    dispersion: float = _DISPERSION,
    noise_factor: float | FloatArray = 1.0,
    detection: float = 3.0,
    name: str = "spectrum",
) -> EmissionLineMeasurements:
    """Measure emission lines on the residuals of a fit.

    Parameters
    ----------
    wavelength : array_like (n,)
        Observed frame, vacuum [Angstrom], increasing.
    flux, uncertainty : array_like (n,)
        The data [erg/s/cm2/Angstrom].
    stellar_model : array_like (n,)
        What the stars emit, in the same unit; also the continuum of the equivalent widths.
    redshift : float
        Velocities are relative to it.
    good_pixels : array_like of bool (n,), optional
        Pixels to use. Those that the fit of the stars masked as emission lines belong to them.
    lsf_fwhm : array_like (n,), optional
        Line-spread function before the integration over pixels [Angstrom, observed frame]. Where it is not
        given, dispersions are those observed, the instrument's included.
    lines : sequence of EmissionLine or str, optional
        Lines, or names of lines of the package; all of the gas if left out.
    kinematics : {'shared', 'per_blend'}
        All lines have one velocity and one dispersion; or each blend that is bright enough has its own.
    velocity, dispersion : float
        Where the search starts, and what lines have that are too faint to show their own [km/s].
    noise_factor : float or ndarray (n,)
        By which the fit enlarged the uncertainties.
    detection : float
        Signal-to-noise ratio from which a line is detected; fainter ones have an upper limit.
    name : str
        Of the spectrum, for messages.

    Returns
    -------
    EmissionLineMeasurements

    Raises
    ------
    DataError
        Arrays of different lengths, an unknown line, a line that is given twice, or an unknown choice.
    """
    arrays = _Residual.of(wavelength, flux, uncertainty, stellar_model, good_pixels, lsf_fwhm, noise_factor, name)
    if kinematics not in ("shared", "per_blend"):
        known = ("shared", "per_blend")
        msg = f"kinematics = {kinematics!r} of the emission lines is not known{nearest_known(kinematics, known)}"
        raise DataError(msg)
    chosen = _merge_unresolved(_chosen(lines))
    start = Kinematics(velocity, dispersion)
    covered = {line.name for line in chosen if arrays.covers(line, redshift, start)}
    # The wings of a line whose core is masked still reach its neighbours.
    fitted = [line for line in chosen if line.name in covered or arrays.touches(line, redshift, start)]
    problems = [problem for problem in _blends(fitted, arrays, redshift) if problem.names & covered]
    solution = solve_lines(problems, start, per_blend=kinematics == "per_blend", needed=_KINEMATICS_FROM)
    found = {name: blend for blend, problem in enumerate(problems) for name in problem.names & covered}
    rows = tuple(
        _measurement(line, found.get(line.name), problems, solution, redshift, detection) for line in chosen
    )
    n_detected = sum(row.status == "detected" for row in rows)
    logger.info(
        "%s: %d of %d emission lines detected, %d not covered", name, n_detected, len(rows), len(rows) - len(found)
    )
    return EmissionLineMeasurements(
        lines=rows,
        redshift=redshift,
        kinematics=kinematics,
        kinematics_measured=solution.measured,
        detection=detection,
        noise_factor=float(np.median(noise_factor)),
        lsf_removed=arrays.lsf_sigma is not None,
        name=name,
    )


@dataclass(frozen=True)
class _Residual:
    """Data minus stars, and what belongs to it."""

    wavelength: FloatArray
    edges: FloatArray
    residual: FloatArray
    uncertainty: FloatArray
    model: FloatArray
    good: BoolArray
    lsf_sigma: FloatArray | None

    @classmethod
    def of(
        cls,
        wavelength: ArrayLike,
        flux: ArrayLike,
        uncertainty: ArrayLike,
        model: ArrayLike,
        good: ArrayLike | None,
        lsf_fwhm: ArrayLike | None,
        noise_factor: float | FloatArray,
        name: str,
    ) -> _Residual:
        wave = np.asarray(wavelength, dtype=np.float64)
        values: dict[str, NDArray[Any]] = {
            "flux": np.asarray(flux, dtype=np.float64),
            "uncertainty": np.asarray(uncertainty, dtype=np.float64) * noise_factor,
            "stellar_model": np.asarray(model, dtype=np.float64),
            "good_pixels": np.ones(wave.shape, dtype=bool) if good is None else np.asarray(good, dtype=bool),
        }
        if lsf_fwhm is not None:
            values["lsf_fwhm"] = np.asarray(lsf_fwhm, dtype=np.float64)
        for what, array in values.items():
            if array.shape != wave.shape:
                msg = f"{name}: {what} has shape {array.shape}; expected that of the wavelengths, {wave.shape}"
                raise DataError(msg)
        sigma, stars = values["uncertainty"], values["stellar_model"]
        usable = values["good_pixels"] & np.isfinite(values["flux"]) & np.isfinite(stars)
        usable &= np.isfinite(sigma) & (sigma > 0.0)
        return cls(
            wavelength=wave,
            edges=pixel_edges(wave),
            residual=np.where(usable, values["flux"] - np.where(usable, stars, 0.0), 0.0),
            uncertainty=np.where(usable, sigma, np.inf),
            model=stars,
            good=usable,
            lsf_sigma=values["lsf_fwhm"] / FWHM_PER_SIGMA if lsf_fwhm is not None else None,
        )

    def lsf_at(self, wavelength: float) -> float:
        """Return the dispersion of the line-spread function, Angstrom; 0 where it is not known."""
        return 0.0 if self.lsf_sigma is None else float(np.interp(wavelength, self.wavelength, self.lsf_sigma))

    def covers(self, line: EmissionLine, redshift: float, start: Kinematics) -> bool:
        """Return whether enough good pixels lie on a line, and on both of its sides."""
        centre = line.wavelength * (1.0 + redshift) * np.exp(start.velocity / SPEED_OF_LIGHT_KMS)
        if not self.edges[0] < centre < self.edges[-1]:
            return False
        pixel = float(np.interp(centre, self.wavelength, np.gradient(self.wavelength)))
        reach = 1.5 * np.hypot(centre * start.dispersion / SPEED_OF_LIGHT_KMS, self.lsf_at(centre))
        reach = max(float(reach), 1.6 * pixel)
        if centre - reach < self.edges[0] or centre + reach > self.edges[-1]:
            return False
        core = np.abs(self.wavelength - centre) <= reach
        return bool(core.any() and self.good[core].mean() >= _LEAST_COVERAGE)

    def touches(self, line: EmissionLine, redshift: float, start: Kinematics) -> bool:
        """Return whether a line that is not covered leaves good pixels within four dispersions of it."""
        centre = line.wavelength * (1.0 + redshift) * np.exp(start.velocity / SPEED_OF_LIGHT_KMS)
        reach = 4.0 * np.hypot(centre * start.dispersion / SPEED_OF_LIGHT_KMS, self.lsf_at(centre))
        return bool(self.good[np.abs(self.wavelength - centre) <= reach].sum() >= 3)


def _chosen(lines: Sequence[EmissionLine | str] | None) -> list[EmissionLine]:
    known = {line.name: line for line in emission_lines()}
    if lines is None:
        return [line for line in known.values() if line.kind == "gas"]
    result: list[EmissionLine] = []
    for line in lines:
        if isinstance(line, str) and line not in known:
            msg = f"emission line {line!r} is not known{nearest_known(line, known)}"
            raise DataError(msg)
        result.append(known[line] if isinstance(line, str) else line)
    names = [line.name for line in result]
    if len(set(names)) < len(names):
        twice = next(line for line in names if names.count(line) > 1)
        msg = f"emission line {twice!r} is given twice"
        raise DataError(msg)
    return result


def _merge_unresolved(lines: list[EmissionLine]) -> list[EmissionLine]:
    """Return the lines in order of wavelength; those too close to tell apart become one, their flux the sum."""
    ordered = sorted(lines, key=lambda line: line.wavelength)
    merged: list[EmissionLine] = []
    for line in ordered:
        last = merged[-1] if merged else None
        close = last and SPEED_OF_LIGHT_KMS * np.log(line.wavelength / last.wavelength) < _UNRESOLVED_KMS
        if last is not None and close:
            middle = 0.5 * (last.wavelength + line.wavelength)
            merged[-1] = EmissionLine(f"{last.name}+{line.name}", middle, line.kind)
        else:
            merged.append(line)
    return merged


def _blends(lines: list[EmissionLine], arrays: _Residual, redshift: float) -> list[BlendProblem]:
    """Return the lines in groups that share pixels or a fixed ratio, with their pixels."""
    limit = 2.0 * WINDOW_KMS / SPEED_OF_LIGHT_KMS
    stretches: list[list[EmissionLine]] = []
    for line in lines:
        if stretches and np.log(line.wavelength / stretches[-1][-1].wavelength) < limit:
            stretches[-1].append(line)
        else:
            stretches.append([line])
    place = {line.name: number for number, stretch in enumerate(stretches) for line in stretch}
    group = list(range(len(stretches)))
    for line in lines:
        if line.tied_to in place:
            first, second = group[place[line.tied_to]], group[place[line.name]]
            group = [min(first, second) if number in (first, second) else number for number in group]
    problems = [
        _problem([stretches[i] for i, number in enumerate(group) if number == wanted], arrays, redshift)
        for wanted in sorted(set(group))
    ]
    return [problem for problem in problems if problem.is_determined]


def _problem(stretches: list[list[EmissionLine]], arrays: _Residual, redshift: float) -> BlendProblem:
    margin = np.exp(WINDOW_KMS / SPEED_OF_LIGHT_KMS)
    pixels: list[NDArray[np.int64]] = []
    continuum: list[float] = []
    for stretch in stretches:
        low = stretch[0].wavelength * (1.0 + redshift) / margin
        high = stretch[-1].wavelength * (1.0 + redshift) * margin
        inside = np.flatnonzero(arrays.good & (arrays.wavelength > low) & (arrays.wavelength < high))
        pixels.append(inside)
        continuum += [float(np.median(arrays.model[inside])) if len(inside) else np.nan] * len(stretch)
    lines = tuple(line for stretch in stretches for line in stretch)
    centres = np.array([line.wavelength for line in lines]) * (1.0 + redshift)
    chosen = np.concatenate(pixels)
    return BlendProblem(
        lines=lines,
        centres=centres,
        lsf_sigma=np.array([arrays.lsf_at(float(centre)) for centre in centres]),
        low_edges=arrays.edges[chosen],
        high_edges=arrays.edges[chosen + 1],
        residual=arrays.residual[chosen],
        uncertainty=arrays.uncertainty[chosen],
        segment=np.repeat(np.arange(len(pixels)), [len(inside) for inside in pixels]),
        continuum=np.array(continuum),
    )


def _measurement(
    line: EmissionLine,
    blend: int | None,
    problems: list[BlendProblem],
    solution: LineSolution,
    redshift: float,
    detection: float,
) -> EmissionLineMeasurement:
    if blend is None:
        return EmissionLineMeasurement.not_covered(line.name, line.wavelength)
    problem, result = problems[blend], solution.blends[blend]
    index = [member.name for member in problem.lines].index(line.name)
    flux, error = float(result.flux[index]), float(result.flux_error[index])
    continuum = float(problem.continuum[index])
    scale = continuum * (1.0 + redshift)
    width = flux / scale if scale > 0.0 else np.nan
    signal_to_noise = flux / error
    return EmissionLineMeasurement(
        name=line.name,
        wavelength=line.wavelength,
        flux=flux,
        flux_error=error,
        equivalent_width=width,
        equivalent_width_error=error / scale if scale > 0.0 else np.nan,
        velocity=result.kinematics.velocity,
        velocity_error=result.kinematics.velocity_error,
        dispersion=result.kinematics.dispersion,
        dispersion_error=result.kinematics.dispersion_error,
        signal_to_noise=signal_to_noise,
        upper_limit=np.nan if signal_to_noise >= detection else max(flux, 0.0) + detection * error,
        continuum=continuum,
        reduced_chi2=result.reduced_chi2,
        blend=blend + 1,
        tied_to=line.tied_to if line.tied_to in problem.names else None,
        status="detected" if signal_to_noise >= detection else "upper limit",
    )
