"""Eight MaNGA spectra and one DESI galaxy, fitted by one script, with a table of results.

Each galaxy is fitted in two stages: kinematics (``KinDust``, MIUSCAT), then the star-formation history with these
kinematics. The DESI galaxy has photometry too, fitted in a third stage with what its spectrum says as a prior. A
spectrum that cannot be fitted gets one line that says why, and the others go on::

    .venv/bin/python examples/table_of_galaxies.py [--rows 1 3] [--output FOLDER]

MaNGA fluxes are per spaxel, so the masses are those within one spaxel of 0.5 arcsec.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from astropy.io import fits
from astropy.table import Table

from orchestrator import MainPipeline
from orchestrator.errors import OrchestratorError

HERE = Path(__file__).resolve().parent
DATA = HERE / "data"
DESI_REDSHIFT = 0.36874
SPECTRUM = {"mask_emission_lines": "T", "legendre_deg": 10, "NoiseModel": "MultiplicativeNoiseModel"}
HISTORY = {"SFHModel": "FixedMassFracSFH", "SFHArgs": [0.3, 0.6, 0.9], "sfh_prior": "dirichlet"}
FEW = {"walkers": 24, "nsteps": 40, "max_samples": 160}  # KinDust solves 200 template weights at each point
QUANTITIES = {
    "log_mass": "stellar_mass",
    "age": "mass_weighted_age",
    "log_z": "mass_weighted_log10_metallicity",
}


def stage(output: Path, modules: dict[str, dict[str, Any]], ensemble: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration of one stage."""
    return {
        "runtime": {"sampler": "maxlike ensemble", "seed": 1},
        "ensemble": ensemble,
        "output": {"filename": str(output)},
        "pipeline": {"modules": " ".join(modules), "values": f"{output}_parameters.ini"},
        **modules,
    }


def manga_stages(row: int, redshift: float, output: Path) -> list[dict[str, Any]]:
    """Kinematics, then star-formation history, of one MaNGA spectrum."""
    data = {
        **SPECTRUM, "inputSpectrum": str(DATA / "manga_spectra.fits.gz"), "inputSpectrumRow": row,
        "redshift": redshift, "wlRange": [3700.0, 8900.0], "SSPModel": "MIUSCAT",
    }  # fmt: skip
    return [
        stage(output / f"manga_{row}_kinematics", {"KinDust": data}, FEW),
        stage(output / f"manga_{row}_history", {"SFHSpectra": {**data, **HISTORY}}, {"max_samples": 800}),
    ]


def desi_stages(output: Path) -> list[dict[str, Any]]:
    """Kinematics from the DESI spectrum, then its star-formation history with the photometry."""
    data = {
        **SPECTRUM, "inputSpectrum": str(DATA / "desi_galaxy.fits.gz"), "redshift": DESI_REDSHIFT,
        "wlRange": [3700.0, 6750.0],
    }  # fmt: skip
    bands = {
        "inputPhotometry": str(DATA / "desi_photometry.txt"), "fluxUnits": "nanomaggy", "redshift": DESI_REDSHIFT,
        "ExtinctionLaw": "calzetti00",
    }  # fmt: skip
    # The spectrum is that of a fibre and the bands are those of the whole galaxy: the mass is that of the bands.
    return [
        stage(output / "desi_kinematics", {"KinDust": {**data, "SSPModel": "MIUSCAT", "moments": 2}}, FEW),
        stage(
            output / "desi_history",
            {"SFHSpectra": {**data, **HISTORY, "SSPModel": "PopStar"}},
            {"max_samples": 800},
        ),
        {
            **stage(
                output / "desi_photometry",
                {"SFHPhotometry": {**bands, **HISTORY, "SSPModel": "PopStar"}},
                {"max_samples": 800},
            ),
            "handover": {"stars.sfh": "prior"},
        },
    ]


def fit(name: str, stages: list[dict[str, Any]]) -> dict[str, Any]:
    """Fit one galaxy; return its row of the table, or why there is none."""
    try:
        results = MainPipeline(stages).run(plot_result=True)
    except OrchestratorError as error:
        return {"galaxy": name, "message": " ".join(str(error).split())}
    kinematics, last = results[0], results[-1]
    sigma = kinematics.summary["los_sigma"]
    row: dict[str, Any] = {
        "galaxy": name,
        "chi2": kinematics.goodness["KinDust"].reduced_chi2,
        "chi2_history": results[1].goodness["SFHSpectra"].reduced_chi2,
        "sigma": sigma.mean,
        "sigma_error": sigma.std,
    }
    for column, quantity in QUANTITIES.items():
        found = last.derived[quantity]
        row |= {column: found.mean, f"{column}_error": found.std}
    flags = [flag for result in results for flag in result.flags]
    return {**row, "message": "; ".join(dict.fromkeys(flag.split(":")[0] for flag in flags))}


def results_table(rows: list[dict[str, Any]]) -> Table:
    """Put the rows in a table with units."""
    units = {"sigma": "km/s", "sigma_error": "km/s", "age": "Gyr", "age_error": "Gyr"}
    units |= {"log_mass": "dex(Msun)", "log_mass_error": "dex(Msun)"}
    columns = [
        "galaxy", "chi2", "chi2_history", "sigma", "sigma_error", "age", "age_error", "log_z", "log_z_error",
        "log_mass", "log_mass_error", "message",
    ]  # fmt: skip
    texts = ("galaxy", "message")
    table = Table({name: [row.get(name, "" if name in texts else float("nan")) for row in rows] for name in columns})
    for name in columns:
        if name not in texts:
            table[name].info.format = ".2f"
        if name in units and not units[name].startswith("dex"):
            table[name].unit = units[name]
    table.meta["comments"] = [
        "chi2 and chi2_history: per degree of freedom with the errors of the file, kinematic and history stage",
        "age: mass-weighted; log_z: mass-weighted mean of log10 of the metal mass fraction",
        "log_mass: log10 of the stellar mass formed in Msun; MaNGA: within one spaxel",
    ]
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit the galaxies and print the table; 0 if any was fitted, the others have their message in the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=list(range(8)), help="MaNGA spectra; all by default")
    parser.add_argument("--without-desi", action="store_true")
    parser.add_argument("--output", type=Path, default=HERE / "output" / "table_of_galaxies")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(level=logging.ERROR)
    redshifts = fits.getdata(DATA / "manga_spectra.fits.gz", "Z")
    rows = [
        fit(f"MaNGA {row}", manga_stages(row, float(redshifts[row]), options.output)) for row in options.rows
    ]
    if not options.without_desi:
        rows.append(fit("DESI 39633345008634465", desi_stages(options.output)))
    table = results_table(rows)
    path = options.output / "table_of_galaxies.ecsv"
    table.write(path, format="ascii.ecsv", overwrite=True)
    table.pprint(max_width=-1, max_lines=-1)
    sys.stdout.write(f"\n{path}\n")
    return 0 if any("sigma" in row for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
