"""Pure noise through every reader: its chi2 per pixel is one."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.observation.read_spectrum import read_spectrum

N_PIXELS, N_SEEDS = 1500, 25
LOGLAM = 3.6 + 1e-4 * np.arange(N_PIXELS)
WAVELENGTH = 10.0**LOGLAM
SIGMA = 1.0 + 0.5 * np.sin(np.arange(N_PIXELS) / 20.0)
UNIT = "1e-17 erg / (s cm2 Angstrom)"


def text(path, flux):
    np.savetxt(path, np.column_stack([WAVELENGTH, flux, SIGMA]))
    return {"flux_units": UNIT, "medium": "air"}


def text_ivar(path, flux):
    rows = "\n".join(f"{a!r} {b!r} {c!r}" for a, b, c in zip(LOGLAM.tolist(), flux, SIGMA**-2.0, strict=True))
    path.write_text(f"loglam flux ivar\n{rows}\n".replace("np.float64(", "").replace(")", ""))
    return {"flux_units": UNIT}


def ecsv(path, flux):
    from astropy import units
    from astropy.table import QTable

    unit = units.Unit("uJy")
    table = QTable({"wavelength": WAVELENGTH / 10 * units.nm, "flux": flux * unit, "error": SIGMA * unit})
    table.write(path, format="ascii.ecsv")
    return {}


def fits_table(path, flux):
    from astropy.io import fits

    columns = {"loglam": LOGLAM, "flux": flux, "ivar": SIGMA**-2.0}
    table = [fits.Column(name=name, format="D", array=values) for name, values in columns.items()]
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(table)]).writeto(path)
    return {"flux_units": UNIT}


def sdss(path, flux):
    from astropy.io import fits

    columns = {"loglam": LOGLAM, "flux": flux, "ivar": SIGMA**-2.0, "and_mask": np.zeros(N_PIXELS)}
    columns["wdisp"] = np.full(N_PIXELS, 1.2)
    table = [fits.Column(name=name, format="D", array=values) for name, values in columns.items()]
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(table, name="COADD")]).writeto(path)
    return {}


def manga(path, flux):
    from astropy.io import fits

    images = {"WAVE": WAVELENGTH, "FLUX": np.stack([flux * 0, flux]), "IVAR": np.stack([SIGMA, SIGMA**-2.0])}
    units = [fits.ImageHDU(values, name=name) for name, values in images.items()]
    fits.HDUList([fits.PrimaryHDU(), *units]).writeto(path)
    return {"row": 1}


def desi(path, flux):
    """Two arms on one grid that overlap by 300 pixels, each with its own noise: combined by inverse variance."""
    from astropy.io import fits

    wavelength = 4000.0 + 0.8 * np.arange(N_PIXELS)
    second = np.random.default_rng(int(abs(flux[0]) * 1e6)).standard_normal(N_PIXELS) * SIGMA
    units = [fits.PrimaryHDU()]
    for arm, values, first, last in (("B", flux, 0, 900), ("R", second, 600, N_PIXELS)):
        part = slice(first, last)
        ivar, mask = SIGMA[part] ** -2.0, np.zeros(last - first, dtype=np.int32)
        mask[::50] = 1
        noise = np.where(mask, 1e5, values[part])
        for name, array in (("FLUX", noise), ("IVAR", ivar), ("MASK", mask)):
            units.append(fits.ImageHDU(array[None], name=f"{arm}_{name}"))
        units.append(fits.ImageHDU(wavelength[part], name=f"{arm}_WAVELENGTH"))
    fits.HDUList(units).writeto(path)
    return {}


def by_specutils(path, flux):
    specutils = pytest.importorskip("specutils")
    from astropy import units
    from astropy.nddata import StdDevUncertainty
    from astropy.wcs import WCS

    wcs = WCS({"CTYPE1": "WAVE", "CRVAL1": 4e-7, "CRPIX1": 1, "CDELT1": 1e-10, "CUNIT1": "m"})
    spectrum = specutils.Spectrum(flux=flux * units.Jy, wcs=wcs, uncertainty=StdDevUncertainty(SIGMA))
    spectrum.write(path, format="wcs1d-fits", hdu=0)
    return {}


@pytest.mark.parametrize("writer", [text, text_ivar, ecsv, fits_table, sdss, manga, desi, by_specutils])
def test_chi2_of_pure_noise_is_one(writer, tmp_path):
    rng = np.random.default_rng(23)
    chi2 = []
    for seed in range(N_SEEDS):
        path = tmp_path / (f"{seed}.txt" if "text" in writer.__name__ else f"{seed}.fits")
        path = path.with_suffix(".ecsv") if writer is ecsv else path
        spectrum = read_spectrum(path, **writer(path, SIGMA * rng.standard_normal(N_PIXELS)))
        good = spectrum.good_pixels
        chi2.append(np.mean(spectrum.flux[good] ** 2 * spectrum.inverse_variance[good]))
    # 25 x 1500 pixels know the mean to 0.007.
    assert np.mean(chi2) == pytest.approx(1.0, abs=0.03)
