"""The parameters that each module reads from the values file, by its options.

Sections and names are BESTA's, so that a user's values files move over unchanged. A parameter whose
lower and upper limits are equal has no effect with these options and may be left out of a values file.
"""

from __future__ import annotations

from orchestrator.config.dust_parameters import dust_parameters as _dust
from orchestrator.config.index_options import EquivalentWidthFitOptions
from orchestrator.config.noise_options import noise_parameters as _noise
from orchestrator.config.photometry_options import SFHPhotometryOptions
from orchestrator.config.spectrum_options import (
    AmplitudeOptions,
    FullSpectralFitOptions,
    KinDustOptions,
    SFHSpectraOptions,
)
from orchestrator.physics.parameter import Parameter

__all__ = [
    "equivalent_width_fit_parameters",
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


def _legendre(degree: int, section: str = "legendre") -> tuple[Parameter, ...]:
    return tuple(
        Parameter(
            section,
            f"legendre_{i}",
            -0.5,
            0.0,
            0.5,
            "",
            f"coefficient {i} of the multiplicative polynomial",
        )
        for i in range(1, degree + 1)
    )


def _star_formation(
    options: FullSpectralFitOptions | SFHSpectraOptions | SFHPhotometryOptions | EquivalentWidthFitOptions,
) -> tuple[Parameter, ...]:
    """Parameters of the SFH model at the age of the universe of the object, and the mass if sampled."""
    from orchestrator.physics.cosmology import age_of_universe

    today = float(age_of_universe(options.redshift, options.h0, options.omega_m))
    sfh = options.history(today)
    mass = () if isinstance(options, EquivalentWidthFitOptions) else _mass(options)
    return tuple(sfh.parameters) + mass


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
    physical = _star_formation(options) + _kinematics() + _dust(options)
    return physical + _legendre(degree, options.legendre_section) + _noise(options)


def sfh_spectra_parameters(options: SFHSpectraOptions) -> tuple[Parameter, ...]:
    """Return the parameters of SFHSpectra; kinematics and dust are options, not parameters."""
    degree = options.legendre_deg if options.legendre_mode == "sampled" else 0
    return _star_formation(options) + _legendre(degree, options.legendre_section) + _noise(options)


def sfh_photometry_parameters(options: SFHPhotometryOptions) -> tuple[Parameter, ...]:
    """Return the parameters of SFHPhotometry."""
    return _star_formation(options) + _dust(options, min(2.0, options.a_v_max)) + _noise(options)


def _emission(options: EquivalentWidthFitOptions) -> tuple[Parameter, ...]:
    declared = {
        "balmer": Parameter(
            "emission", "ew_hbeta", 0.0, 0.5, 30.0, "Angstrom", "equivalent width of Hbeta in emission, as observed"
        ),
        "oiii": Parameter(
            "emission", "ew_oiii", 0.0, 0.5, 60.0, "Angstrom", "equivalent width of [O III] 5008 in emission"
        ),
        "ni": Parameter(
            "emission", "ew_ni", 0.0, 0.1, 5.0, "Angstrom", "equivalent width of [N I] 5199 and 5202 in emission"
        ),
    }
    sampled = tuple(parameter for group, parameter in declared.items() if options.samples(group))
    if not options.gas_extinction:
        return sampled
    meaning = "attenuation of the gas in V, which sets the ratios of its lines"
    return (*sampled, Parameter("emission", "a_v_gas", 0.0, 0.5, 5.0, "mag", meaning))


def equivalent_width_fit_parameters(options: EquivalentWidthFitOptions) -> tuple[Parameter, ...]:
    """Return the parameters of EquivalentWidthFit; kinematics are options, and indices have no mass."""
    return _star_formation(options) + _dust(options) + _emission(options)
