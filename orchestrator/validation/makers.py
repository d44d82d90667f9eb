"""Data of one module: its noiseless model at any parameters, the noise it assumes, and the file to write."""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import ConfigError
from orchestrator.observation.spectrum import FLUX_UNIT, Spectrum
from orchestrator.physics.amplitude import Parabola
from orchestrator.physics.losvd import LOWEST_H4
from orchestrator.physics.wavelength import SPEED_OF_LIGHT_KMS
from orchestrator.stage import ModuleSection

__all__ = ["Distortion", "Maker", "Source", "make_maker", "source_of"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Point = Mapping[tuple[str, str], FloatArray]
"""Parameters of one point, arrays of shape (1,)."""

_REFERENCE_DRAWS = 48


class Source(NamedTuple):
    """What is simulated as one: an input file, or a row of one."""

    option: str
    path: str
    row: int | None = None


def source_of(section: ModuleSection) -> Source | None:
    """Return the source of a module's data; None where they cannot be simulated."""
    given = {key.lower(): value for key, value in section.options.items()}
    if section.class_name == "GaussianTarget":
        return Source("mean", section.name)
    maker = _MAKERS.get(str(section.class_name))
    if maker is None:
        return None
    row = given.get("inputspectrumrow")
    return Source(maker.option, str(given[maker.option.lower()]), None if row is None else int(row))


def make_maker(module_class: Any, options: Mapping[str, Any], source: Source, alias: str) -> Maker:
    """Set a module up to make data.

    Raises
    ------
    ConfigError
        If its noise cannot be simulated.
    """
    kind = _MAKERS[module_class.name]
    changed = {key: value for key, value in options.items() if key.lower() not in kind.left_out}
    return kind(module_class(changed, alias=alias), source)


class Distortion(NamedTuple):
    """What the mock data have that the fitted model does not know.

    Attributes
    ----------
    tilt : float
        Relative change of the fluxes from end to end.
    blur : float
        Further dispersion of a spectrum's lines, km/s: a line-spread function wider than stated.
    """

    tilt: float = 0.0
    blur: float = 0.0


class Maker(ABC):
    """Makes the data of one module.

    Attributes
    ----------
    module : CosmosisModule
    source : Source
    """

    option: ClassVar[str]
    left_out: ClassVar[frozenset[str]] = frozenset()
    """Options that the mock file makes pointless, or that would change the observed pixels."""

    def __init__(self, module: Any, source: Source) -> None:
        self.module = module
        self.source = source

    @property
    def amplitude_mode(self) -> str:
        """How the stellar mass is treated; 'none' for a module without one."""
        return str(getattr(self.module.options, "amplitude", "none"))

    def support(self, drawn: Point, before: Parabola | None) -> tuple[BoolArray, Parabola | None]:
        """Return which points have a model, shape (n_points,), and what the data say about their mass."""
        evaluation = self.module.evaluate_batch(drawn, before)
        return np.isfinite(evaluation.log_likelihood), evaluation.joint

    @abstractmethod
    def squared_significance(self) -> float:
        """Return the sum of (datum / error)**2 of the observed data."""

    @abstractmethod
    def squared_per_mass(self, point: Point) -> float:
        """Return the sum of (model of unit mass / error)**2."""

    @abstractmethod
    def write(
        self, together: Sequence[Any], point: Point, mass: float, generator: np.random.Generator, folder: Path,
        distortion: Distortion,
    ) -> dict[str, Any]:
        """Write the mock data of all makers of one source; return the options to read them with (None removes)."""


class SpectrumMaker(Maker):
    """Makes spectra with the model of FullSpectralFit, SFHSpectra or GalaxySpectra."""

    option = "inputSpectrum"
    left_out = frozenset({"fit_grid", "sigma_clip", "sigma_clip_window"})

    def __init__(self, module: Any, source: Source) -> None:
        super().__init__(module, source)
        if getattr(module.options, "noise_model", None) == "GaussianProcess":
            msg = f"[{module.alias}] NoiseModel = GaussianProcess: correlated noise cannot be simulated"
            raise ConfigError(msg)

    @property
    def spectrum(self) -> Spectrum:
        """The observed spectrum."""
        spectrum: Spectrum = self.module.fit.spectrum
        return spectrum

    @property
    def pixels(self) -> Any:
        """The fitted pixels."""
        return self.module.model.pixels

    def squared_significance(self) -> float:
        """Return the sum of (datum / error)**2 of the observed data."""
        pixels = self.pixels
        return float((pixels.flux**2 * pixels.inverse_variance).sum()) - len(pixels.flux)

    def squared_per_mass(self, point: Point) -> float:
        """Return the sum of (model of unit mass / error)**2."""
        return float(((self.flux(point, 1.0) / self.sigma(point))[self.good] ** 2).sum())

    @property
    def good(self) -> BoolArray:
        """Which of the covered pixels are fitted."""
        good: BoolArray = self.pixels.good_pixels[self.pixels.covered]
        return good

    def flux(self, point: Point, mass: float) -> FloatArray:
        """Return the model on the covered pixels; without the polynomial where it is solved inside."""
        model = self.module.model
        flux, polynomial = model.model_spectrum(self.module.under_own_names(point), np.array([mass]))
        return np.asarray(flux[0] / polynomial[0] if model.polynomial_mode == "profiled" else flux[0])

    def sigma(self, point: Point) -> FloatArray:
        """Return the standard deviation (for Student's t the scale) that the fit assumes, on the covered pixels."""
        spectrum, covered = self.spectrum, self.pixels.covered
        with np.errstate(divide="ignore", invalid="ignore"):
            stated = spectrum.uncertainty[covered] / np.sqrt(spectrum.weights[covered])
        usable = np.isfinite(stated)
        own = self.module.under_own_names(point)
        level = self._level(own, np.where(usable, stated, 1.0))
        return np.where(usable, level, np.inf)

    def _level(self, own: Point, stated: FloatArray) -> FloatArray:
        model = self.module.model
        if hasattr(model, "noise_level"):
            return np.asarray(model.noise_level(own, stated)[0])
        return stated * (float(own["noise", "beta"][0]) ** -0.5 if model.sampled_noise else 1.0)

    def _noise(self, point: Point, generator: np.random.Generator) -> FloatArray:
        n_pixels = int(self.pixels.covered.sum())
        if getattr(self.module.options, "noise_model", None) != "StudentT":
            return generator.standard_normal(n_pixels)
        own = self.module.under_own_names(point)
        nu = self.module.options.noise_nu or float(own["noise", "nu"][0])
        return np.asarray(generator.standard_t(nu, n_pixels))

    def write(
        self, together: Sequence[Any], point: Point, mass: float, generator: np.random.Generator, folder: Path,
        distortion: Distortion,
    ) -> dict[str, Any]:
        """Write the spectrum on the observed pixels; several modules fill it one after the other."""
        spectrum = self.spectrum
        flux = np.full(len(spectrum.wavelength), np.nan)
        for maker in together:
            mock = _distorted(maker.spectrum.wavelength[maker.pixels.covered], maker.flux(point, mass), distortion)
            with np.errstate(invalid="ignore"):
                mock = mock + maker.sigma(point) * maker._noise(point, generator)
            mock[~maker.good] = np.nan
            empty = np.isnan(flux[maker.pixels.covered])
            flux[np.flatnonzero(maker.pixels.covered)[empty]] = mock[empty]
        name = f"spectrum_{_number(self.source)}"
        known = np.isfinite(flux)
        uncertainty = np.where(known, spectrum.uncertainty, 1.0)
        table = np.column_stack([spectrum.wavelength, np.where(known, flux, 0.0), uncertainty])
        np.savetxt(folder / f"{name}.txt", table, fmt="%.10g")
        options: dict[str, Any] = {
            "inputSpectrum": str(folder / f"{name}.txt"), "inputSpectrumRow": None, "inputSpectrumFormat": None,
            "wlUnits": "Angstrom", "fluxUnits": FLUX_UNIT, "wlMedium": None, "mask": None, "lsf": None,
            "redshift": spectrum.redshift,
        }  # fmt: skip
        if not known.all() or np.any(spectrum.weights != 1.0):
            np.savetxt(folder / f"{name}_weights.txt", np.where(known, spectrum.weights, 0.0), fmt="%.10g")
            options["mask"] = str(folder / f"{name}_weights.txt")
        if spectrum.lsf_fwhm is not None:
            table = np.column_stack([spectrum.wavelength, spectrum.lsf_fwhm])
            np.savetxt(folder / f"{name}_lsf.txt", table, fmt="%.10g")
            options["lsf"] = str(folder / f"{name}_lsf.txt")
        return options


class KinematicsMaker(SpectrumMaker):
    """Makes spectra with KinDust's model; its templates have the weights that describe the observed spectrum best."""

    def __init__(self, module: Any, source: Source) -> None:
        super().__init__(module, source)
        self._reference: Any = None

    @property
    def spectrum(self) -> Spectrum:
        """The observed spectrum."""
        spectrum: Spectrum = self.module.spectrum
        return spectrum

    @property
    def pixels(self) -> Any:
        """The fitted pixels."""
        return self.module.kinematics.pixels

    @property
    def amplitude_mode(self) -> str:
        """There is no mass."""
        return "none"

    def support(self, drawn: Point, before: Parabola | None) -> tuple[BoolArray, Parabola | None]:
        """Return which points have a model; a solve of the weights for each would take seconds."""
        del before
        sigma = drawn["kinematics", "los_sigma"]
        h4 = drawn.get(("kinematics", "los_h4"), np.zeros(len(sigma)))
        a_v = drawn.get(("dust.extinction", "a_v"), np.zeros(len(sigma)))
        inside = (sigma >= 0) & (h4 > LOWEST_H4) & (a_v >= 0)
        if self._reference is None:
            self._reference = self._best_of(drawn)
        return np.asarray(inside), None

    def _best_of(self, drawn: Point) -> Any:
        """Return the weights at the best of some draws for the observed spectrum."""
        few = {key: values[:_REFERENCE_DRAWS] for key, values in drawn.items()}
        values = self.module.kinematics.log_likelihood(self.module.under_own_names(few))
        best = int(np.argmax(values))
        return self.module.kinematics.fixed_weights({key: column[best : best + 1] for key, column in few.items()})

    def flux(self, point: Point, mass: float) -> FloatArray:
        """Return the model on the covered pixels."""
        del mass
        model = self.module.kinematics.model_with_weights(self.module.under_own_names(point), self._reference)
        return np.asarray(model)

    def _level(self, own: Point, stated: FloatArray) -> FloatArray:
        return stated * self.module.kinematics.noise_scale(own, stated)


class PhotometryMaker(Maker):
    """Makes fluxes with the model of SFHPhotometry or GalaxyPhotometry.

    A band with an upper limit stays one if the mock flux is below the limit, and becomes a measured flux if it is
    not: what a survey of that depth would list.
    """

    option = "inputPhotometry"

    @property
    def data(self) -> Any:
        """The observed photometry."""
        return self.module.model.photometry

    def squared_significance(self) -> float:
        """Return the sum of (datum / error)**2 of the observed data that are no limits."""
        pull = (self.data.flux / self.data.uncertainty)[self._measured]
        return float((pull**2).sum()) - len(pull)

    @property
    def _measured(self) -> BoolArray:
        return np.asarray(~(self.data.is_upper_limit | self.data.is_lower_limit))

    def squared_per_mass(self, point: Point) -> float:
        """Return the sum of (model of unit mass / error)**2."""
        return float(((self._flux(point, 1.0) / self._sigma(point))[self._measured] ** 2).sum())

    def _flux(self, point: Point, mass: float) -> FloatArray:
        return np.asarray(self.module.model.model_fluxes(self.module.under_own_names(point), np.array([mass]))[0])

    def _sigma(self, point: Point) -> FloatArray:
        return np.asarray(self.module.model.noise_level(self.module.under_own_names(point))[0])

    def write(
        self, together: Sequence[Any], point: Point, mass: float, generator: np.random.Generator, folder: Path,
        distortion: Distortion,
    ) -> dict[str, Any]:
        """Write the table of fluxes, in micro-Jansky."""
        del together  # two modules with one table of fluxes would count it twice
        data, model = self.data, self._flux(point, mass)
        model = _distorted(self.module.fit.effective_wavelength, model, distortion._replace(blur=0.0))
        noise = generator.standard_normal(len(model))
        if getattr(self.module.options, "noise_model", None) == "StudentT":
            own = self.module.under_own_names(point)
            noise = generator.standard_t(self.module.options.noise_nu or float(own["noise", "nu"][0]), len(model))
        flux = model + self._sigma(point) * noise
        upper = data.is_upper_limit & (flux < data.flux)
        lower = data.is_lower_limit & (flux > data.flux)
        flux = np.where(upper | lower, data.flux, flux)
        words = np.where(upper, "upper", np.where(lower, "lower", ""))
        unit = 1e-29
        lines = [
            f'"{name}" {value / unit:.10g} {error / unit:.10g} {word}\n'
            for name, value, error, word in zip(data.filter_names, flux, data.uncertainty, words, strict=True)
        ]
        path = folder / f"photometry_{_number(self.source)}.txt"
        path.write_text("".join(lines), encoding="utf-8")
        return {"inputPhotometry": str(path), "fluxUnits": "uJy"}


class GaussianMaker(Maker):
    """Makes the mean of a GaussianTarget: the datum, of which the target's widths are the noise."""

    option = "mean"

    def squared_significance(self) -> float:
        """There is no mass."""
        return 0.0

    def squared_per_mass(self, point: Point) -> float:
        """There is no mass."""
        del point
        return 0.0

    def write(
        self, together: Sequence[Any], point: Point, mass: float, generator: np.random.Generator, folder: Path,
        distortion: Distortion,
    ) -> dict[str, Any]:
        """Return the option; there is no file."""
        del together, mass, folder, distortion
        (covariance, *others) = self.module.model.mixture.covariances
        if others:
            msg = f"[{self.module.alias}] a target of two modes is no measurement, so it cannot be simulated"
            raise ConfigError(msg)
        centre = np.array([float(point[name][0]) for name in self.module.model.names])
        return {"mean": [float(value) for value in generator.multivariate_normal(centre, covariance)]}


_MAKERS: dict[str, type[Maker]] = {
    "FullSpectralFit": SpectrumMaker,
    "SFHSpectra": SpectrumMaker,
    "GalaxySpectra": SpectrumMaker,
    "KinDust": KinematicsMaker,
    "SFHPhotometry": PhotometryMaker,
    "GalaxyPhotometry": PhotometryMaker,
    "GaussianTarget": GaussianMaker,
}


def _distorted(wavelength: FloatArray, flux: FloatArray, distortion: Distortion) -> FloatArray:
    """Return fluxes that are tilted linearly about the middle and blurred."""
    if distortion.blur:
        from scipy.ndimage import gaussian_filter1d

        velocity_step = SPEED_OF_LIGHT_KMS * float(np.median(np.diff(np.log(wavelength))))
        flux = gaussian_filter1d(flux, distortion.blur / velocity_step, mode="nearest")
    if distortion.tilt:
        middle = 0.5 * (wavelength.min() + wavelength.max())
        flux = flux * (1.0 + distortion.tilt * (wavelength - middle) / np.ptp(wavelength))
    return np.asarray(flux)


def _number(source: Source) -> int:
    """Return a number that names the files of a source, the same in every process."""
    return zlib.crc32(repr(tuple(source)).encode()) % 10**8
