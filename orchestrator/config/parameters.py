"""The parameters that each module reads from the values file, by its options.

Sections and names are BESTA's, so that a user's values files move over unchanged. A parameter whose
lower and upper limits are equal has no effect with these options and may be left out of a values file.
"""

from __future__ import annotations

from orchestrator.config.photometry_options import SFHPhotometryOptions
from orchestrator.config.spectrum_options import (
    AmplitudeOptions,
    DustOptions,
    FullSpectralFitOptions,
    KinDustOptions,
    NoiseOptions,
    SFHSpectraOptions,
)
from orchestrator.physics.parameter import Parameter

__all__ = [
    "full_spectral_fit_parameters",
    "kin_dust_parameters",
    "sfh_photometry_parameters",
    "sfh_spectra_parameters",
]


_HERMITE_PRIOR = "gaussian 0.0 0.064"
"""Where the spectrum does not say otherwise the LOSVD is a Gaussian. The width is that of pPXF's default penalty
(Cappellari & Emsellem 2004, PASP 116, 138): with it the scatter of mocks is pPXF's, without it larger."""


def _kinematics(moments: int = 4) -> tuple[Parameter, ...]:
    h_limit = 0.3 if moments == 4 else 0.0
    note = "" if moments == 4 else "; fixed to 0 because moments = 2"
    section = "kinematics"
    return (
        Parameter(
            section, "los_vel", -500.0, 0.0, 500.0, "km/s", "line-of-sight velocity at the given redshift"
        ),
        Parameter(section, "los_sigma", 5.0, 150.0, 500.0, "km/s", "line-of-sight velocity dispersion"),
        Parameter(
            section, "los_h3", -h_limit, 0.0, h_limit, "", f"third Gauss-Hermite moment (skewness){note}",
            _HERMITE_PRIOR,
        ),
        Parameter(
            section, "los_h4", -h_limit, 0.0, h_limit, "", f"fourth Gauss-Hermite moment (kurtosis){note}",
            _HERMITE_PRIOR,
        ),
    )


def _dust(options: DustOptions, upper: float = 2.0) -> tuple[Parameter, ...]:
    section, name, meaning = "dust.extinction", "a_v", "attenuation of the stars in V"
    if options.extinction_law is None:
        note = "; fixed to 0 because ExtinctionLaw is not set"
        return (Parameter(section, name, 0.0, 0.0, 0.0, "mag", meaning + note),)
    return (Parameter(section, name, 0.0, min(0.2, 0.1 * upper), upper, "mag", meaning),)


def _legendre(degree: int) -> tuple[Parameter, ...]:
    return tuple(
        Parameter(
            "legendre",
            f"legendre_{i}",
            -0.5,
            0.0,
            0.5,
            "",
            f"coefficient {i} of the multiplicative polynomial",
        )
        for i in range(1, degree + 1)
    )


def _noise(options: NoiseOptions) -> tuple[Parameter, ...]:
    if options.noise_model is None:
        return ()
    meaning = "factor on the inverse variance of the data; below 1 widens the errors"
    return (Parameter("noise", "beta", 0.01, 1.0, 10.0, "", meaning),)


def _star_formation(
    options: FullSpectralFitOptions | SFHSpectraOptions | SFHPhotometryOptions,
) -> tuple[Parameter, ...]:
    """Parameters of the SFH model at the age of the universe of the object, and the mass if sampled."""
    from orchestrator.physics.cosmology import age_of_universe
    from orchestrator.physics.sfh import build_sfh

    today = float(age_of_universe(options.redshift, options.h0, options.omega_m))
    sfh = build_sfh(options.sfh_model, list(options.sfh_args), today)
    return tuple(sfh.parameters) + _mass(options)


def _mass(options: AmplitudeOptions) -> tuple[Parameter, ...]:
    if options.amplitude != "sampled":
        return ()
    meaning = "log10 of the stellar mass formed"
    return (Parameter("stars.sfh", "log10_stellar_mass", 5.0, 10.0, 13.0, "log10(Msun)", meaning),)


def kin_dust_parameters(options: KinDustOptions) -> tuple[Parameter, ...]:
    """Return the parameters of KinDust; its polynomials and template weights are solved inside."""
    return _kinematics(options.moments) + _dust(options) + _noise(options)


def full_spectral_fit_parameters(options: FullSpectralFitOptions) -> tuple[Parameter, ...]:
    """Return the parameters of FullSpectralFit."""
    degree = options.legendre_deg if options.legendre_mode == "sampled" else 0
    return _star_formation(options) + _kinematics() + _dust(options) + _legendre(degree) + _noise(options)


def sfh_spectra_parameters(options: SFHSpectraOptions) -> tuple[Parameter, ...]:
    """Return the parameters of SFHSpectra; kinematics and dust are options, not parameters."""
    degree = options.legendre_deg if options.legendre_mode == "sampled" else 0
    return _star_formation(options) + _legendre(degree) + _noise(options)


def sfh_photometry_parameters(options: SFHPhotometryOptions) -> tuple[Parameter, ...]:
    """Return the parameters of SFHPhotometry."""
    return _star_formation(options) + _dust(options, min(2.0, options.a_v_max)) + _noise(options)
