"""Constants that more than one part needs, each written once."""

from math import log, sqrt

__all__ = [
    "CM_PER_MEGAPARSEC",
    "FWHM_PER_SIGMA",
    "SOLAR_LUMINOSITY",
    "SPEED_OF_LIGHT_ANGSTROM",
    "SPEED_OF_LIGHT_KMS",
]

SPEED_OF_LIGHT_KMS = 299792.458
"""km/s, exact."""
SPEED_OF_LIGHT_ANGSTROM = 2.99792458e18
"""Angstrom/s, exact."""
SOLAR_LUMINOSITY = 3.828e33
"""erg/s; nominal, IAU 2015 resolution B3."""
CM_PER_MEGAPARSEC = 3.0856775814913673e24
"""cm; IAU 2015 resolution B2."""
FWHM_PER_SIGMA = 2.0 * sqrt(2.0 * log(2.0))
"""Full width at half maximum of a Gaussian over its standard deviation."""
