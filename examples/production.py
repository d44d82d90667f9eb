"""Seven MaNGA spectra and a DESI galaxy as a production: run, export to FITS, and a table.

The run file is ``examples/production/run.yaml``; the same from the command line::

    orchestrator run examples/production/run.yaml
    orchestrator export galaxies.fits examples/production/run.yaml

What has been done is not done again: run it a second time, or after changing an option of one stage.
"""

from __future__ import annotations

import sys
from pathlib import Path

from astropy.table import Table

from orchestrator import Production

HERE = Path(__file__).resolve().parent
COLUMNS = {
    "kinematics": ("los_vel", "los_sigma"),
    "history": ("mass_weighted_age", "mass_weighted_log10_metallicity", "stellar_mass"),
}


def overview(production: Production) -> Table:
    """Return the medians of some columns, with half the width of the 68 % interval as their error."""
    overview = Table()
    for stage, names in COLUMNS.items():
        results = production.results(stage)
        if not overview.colnames:
            overview["galaxy"] = results["target"]
        for name in names:
            error = (results[f"{name}_upper_68"] - results[f"{name}_lower_68"]) / 2
            pairs = zip(results[name], error, strict=True)
            overview[name] = [f"{value:.2f} +- {width:.2f}" for value, width in pairs]
            overview[name].unit = results[name].unit
        overview[f"verdict of {stage}"] = results["verdict"]
    return overview


def main() -> int:
    """Run the production, export it, print its table; 0 if every galaxy was fitted."""
    production = Production(HERE / "production" / "run.yaml")
    outcome = production.run(progress=True)
    file = production.export(production.folder / "galaxies.fits", overwrite=True)
    overview(production).pprint(max_width=-1, max_lines=-1)
    sys.stdout.write(f"\n{file}\n")
    return outcome.exit_code


if __name__ == "__main__":
    sys.exit(main())
