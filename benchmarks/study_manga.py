"""Fit the MaNGA spectra of examples/data in two stages and compare with pPXF's figures.

Rest frame 3700-8900 A, MIUSCAT matched to the LSF, emission lines masked, multiplicative degree 10. The figures of
pPXF 9.5 for the same choices are those of benchmarks/study_kinematics.py. Prints one line per spectrum::

    .venv/bin/python benchmarks/study_manga.py [rows ...]
"""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path

from orchestrator import MainPipeline, Reader

DATA = Path(__file__).resolve().parents[1] / "examples" / "data" / "manga_spectra.fits.gz"
REDSHIFTS = (0.0495282, 0.050231, 0.04935, 0.027447, 0.030805, 0.0171611, 0.0171611, 0.0181699)
PPXF_CHI2 = {0: 4.95, 1: 1.89, 2: 2.60, 3: 2.69, 4: 4.79, 7: 0.97}
PPXF_SIGMA = {0: 288, 1: 116, 2: 240, 3: 159, 4: 200, 7: 39}


def stages(row: int, folder: Path) -> list[dict]:
    """Return the configurations of the two stages."""
    spectrum = {
        "inputSpectrum": str(DATA),
        "inputSpectrumRow": row,
        "redshift": REDSHIFTS[row],
        "wlRange": [3700.0, 8900.0],
        "mask_emission_lines": "T",
        "SSPModel": "MIUSCAT",
        "legendre_deg": 10,
        "NoiseModel": "MultiplicativeNoiseModel",
    }
    modules = {
        "KinDust": spectrum,
        "SFHSpectra": {**spectrum, "SFHModel": "FixedMassFracSFH", "SFHArgs": [0.2, 0.5, 0.8, 0.95]},
    }
    return [
        {
            "runtime": {"sampler": "maxlike emcee", "seed": 1},
            "maxlike": {"method": "Nelder-Mead", "tolerance": 1e-4, "maxiter": 4000},
            "emcee": {"walkers": 24, "samples": 100, "nsteps": 50},
            "output": {"filename": str(folder / f"{name}_{row}")},
            "pipeline": {
                "modules": name, "likelihoods": name, "values": str(folder / f"{name}_{row}_parameters.ini"),
            },
            name: options,
        }
        for name, options in modules.items()
    ]  # fmt: skip


def reduced_chi2(folder: Path, name: str, row: int) -> float:
    """Return chi2 per degree of freedom at the best fit, with the errors of the data as given."""
    reader = Reader.from_results_file(folder / f"{name}_{row}.txt")
    solution = reader.get_max_posterior_solution(as_datablock=True)
    module = reader.get_module(name)
    parameters = module.read_parameters(solution)
    if name == "KinDust":
        fit = module.kinematics.model_flux(parameters)
        return float(fit.chi2[0]) / (fit.n_good - 14)
    model, pixels = module.model, module.model.pixels
    flux, _ = model.model_spectrum(parameters)
    residual = pixels.flux - flux[0][pixels.good_pixels[pixels.covered]]
    return float((residual**2 * pixels.inverse_variance).sum()) / (len(residual) - 17)


def main() -> int:
    """Print the table."""
    logging.getLogger("orchestrator").setLevel(logging.ERROR)
    rows = [int(word) for word in sys.argv[1:]] or sorted(PPXF_CHI2)
    print("row  chi2 KinDust  pPXF  ratio   sigma KinDust      pPXF   chi2 SFHSpectra  ratio to pPXF")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for row in rows:
            results = MainPipeline(stages(row, folder), n_cores_list=[2, 2]).run()
            sigma = results[0].summary["los_sigma"]
            kinematics = reduced_chi2(folder, "KinDust", row)
            population = reduced_chi2(folder, "SFHSpectra", row)
            print(
                f"{row:3d}  {kinematics:12.3f}  {PPXF_CHI2[row]:4.2f}  {kinematics / PPXF_CHI2[row]:5.3f}"
                f"   {sigma.median:5.1f} -{sigma.median - sigma.lower_68:4.1f} +{sigma.upper_68 - sigma.median:4.1f}"
                f"  {PPXF_SIGMA[row]:5d}  {population:15.3f}  {population / PPXF_CHI2[row]:13.3f}",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
