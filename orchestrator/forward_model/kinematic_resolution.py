"""What dispersion a spectrum and its templates can show at all."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orchestrator.observation.spectrum import Spectrum
from orchestrator.physics.constants import FWHM_PER_SIGMA
from orchestrator.physics.wavelength import SPEED_OF_LIGHT_KMS
from orchestrator.ssp_libraries.library import SSPLibrary

__all__ = ["KinematicResolution", "kinematic_resolution"]

logger = logging.getLogger(__name__)

FloatArray = NDArray[np.float64]



@dataclass(frozen=True)
class KinematicResolution:
    """Resolution of data and templates at the centre of the fitted range, in km/s.

    Attributes
    ----------
    wavelength : float
        Where, rest frame, Angstrom.
    instrumental_dispersion : float
        Sigma of the line-spread function of the data; NaN if not known.
    template_dispersion : float
        Sigma of the line-spread function of the library as delivered.
    template_sampling : float
        Distance of two wavelengths of the library.
    library_name : str
    """

    wavelength: float
    instrumental_dispersion: float
    template_dispersion: float
    template_sampling: float
    library_name: str

    @property
    def unresolved_limit(self) -> float:
        """Dispersion under which a result must be flagged, km/s.

        The instrumental dispersion; that of the templates where the instrument's is not known.
        """
        if np.isnan(self.instrumental_dispersion):
            return self.template_dispersion
        return self.instrumental_dispersion

    @property
    def template_limit(self) -> float:
        """Smallest dispersion that the templates can show in these data, km/s.

        A line of the galaxy has the width of dispersion and instrument together. The templates show it if
        they are not wider and if two of their wavelengths fall within its FWHM.
        """
        instrument = 0.0 if np.isnan(self.instrumental_dispersion) else self.instrumental_dispersion
        needed = max(self.template_dispersion, 2 * self.template_sampling / FWHM_PER_SIGMA)
        if np.isnan(self.instrumental_dispersion):
            return max(2 * self.template_sampling / FWHM_PER_SIGMA, 0.0)
        return float(np.sqrt(max(needed**2 - instrument**2, 0.0)))

    def is_unresolved(self, los_sigma: ArrayLike) -> NDArray[np.bool_]:
        """Return where a dispersion is below what data or templates resolve; same shape as `los_sigma`."""
        return np.asarray(los_sigma) < max(self.unresolved_limit, self.template_limit)

    def flags(self, los_sigma: float) -> tuple[str, ...]:
        """Return the remark that an unresolved dispersion (km/s) must carry; empty if it is resolved."""
        if not self.is_unresolved(los_sigma):
            return ()
        limit = max(self.unresolved_limit, self.template_limit)
        return (
            f"unresolved: los_sigma = {los_sigma:.0f} km/s is below the {limit:.0f} km/s that data and templates "
            f"({self.library_name}) resolve; read it as an upper limit",
        )

    def check(self, los_sigma: float, name: str = "the spectrum") -> bool:
        """Log a warning where `los_sigma` (km/s) cannot be measured; return True if it can.

        Parameters
        ----------
        los_sigma : float
            A dispersion asked for (start of a fit) or found.
        name : str
            What is fitted, for the message.
        """
        if los_sigma < self.template_limit:
            logger.warning(
                "%s: the templates of %s do not resolve a dispersion below %.0f km/s: at %.0f A they are sampled "
                "every %.0f km/s and have a dispersion of %.0f km/s themselves. Choose a library of higher "
                "resolution (MIUSCAT, MaStar) for kinematics.",
                name, self.library_name, self.template_limit, self.wavelength, self.template_sampling,
                self.template_dispersion,
            )  # fmt: skip
            return False
        if los_sigma < self.unresolved_limit:
            logger.warning(
                "%s: a dispersion of %.0f km/s is below the instrumental dispersion of %.0f km/s at %.0f A; "
                "treat it as unresolved",
                name, los_sigma, self.unresolved_limit, self.wavelength,
            )  # fmt: skip
            return False
        return True


def kinematic_resolution(
    spectrum: Spectrum, library: SSPLibrary, wavelength: FloatArray
) -> KinematicResolution:
    """Return the resolution at the centre of the fitted pixels.

    Parameters
    ----------
    spectrum : Spectrum
    library : SSPLibrary
    wavelength : ndarray, shape (n_good,)
        Fitted pixels, rest frame, Angstrom.
    """
    centre = float(np.sqrt(wavelength[0] * wavelength[-1]))
    to_velocity = SPEED_OF_LIGHT_KMS / centre
    data_fwhm = spectrum.lsf_fwhm_rest
    instrument = np.nan
    if data_fwhm is not None:
        instrument = float(np.interp(centre, spectrum.rest_wavelength, data_fwhm))
    index = int(np.clip(np.searchsorted(library.wavelength, centre), 1, len(library.wavelength) - 1))
    step = float(library.wavelength[index] - library.wavelength[index - 1])
    template_fwhm = float(np.interp(centre, library.wavelength, library.lsf_fwhm))
    return KinematicResolution(
        wavelength=centre,
        instrumental_dispersion=instrument * to_velocity / FWHM_PER_SIGMA,
        template_dispersion=template_fwhm * to_velocity / FWHM_PER_SIGMA,
        template_sampling=step * to_velocity,
        library_name=library.name,
    )
