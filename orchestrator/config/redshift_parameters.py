"""The parameters that SpectraRedshiftFit reads from the values file, by its options."""

from __future__ import annotations

from orchestrator.config.dust_parameters import dust_parameters
from orchestrator.config.noise_options import noise_parameters
from orchestrator.config.parameters import _legendre, _mass
from orchestrator.config.redshift_options import SpectraRedshiftFitOptions
from orchestrator.physics.parameter import Parameter

__all__ = ["spectra_redshift_fit_parameters"]


def spectra_redshift_fit_parameters(options: SpectraRedshiftFitOptions) -> tuple[Parameter, ...]:
    """Return the parameters of SpectraRedshiftFit.

    Times of the star-formation history are cosmic times whatever the redshift. Their ranges end at the age of the
    universe at `z_max`, so that every history is possible at every trial redshift.
    """
    from orchestrator.physics.cosmology import age_of_universe

    youngest = float(age_of_universe(options.z_max, options.h0, options.omega_m))
    sfh = options.history(youngest)
    degree = options.legendre_deg if options.legendre_mode == "sampled" else 0
    return (
        *_redshift(options), *sfh.parameters, *_mass(options), *dust_parameters(options),
        *_legendre(degree, options.legendre_section), *noise_parameters(options),
    )  # fmt: skip


def _redshift(options: SpectraRedshiftFitOptions) -> tuple[Parameter, ...]:
    if options.redshift_mode != "sampled":
        return ()
    middle = 0.5 * (options.z_min + options.z_max)
    return (Parameter("redshift", "redshift", options.z_min, middle, options.z_max, "", "redshift of the galaxy"),)
