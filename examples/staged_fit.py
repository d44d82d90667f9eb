# %% [markdown]
# # Staged fits of two real galaxies
#
# **A MaNGA galaxy** is fitted in two stages: kinematics (`KinDust`), then the star-formation history with these
# kinematics (`SFHSpectra`), both with MIUSCAT templates.
#
# **A DESI galaxy** at z = 0.37 is fitted in three: kinematics, star-formation history from the spectrum, and then
# its own g, r, z, W1, W2 photometry (`SFHPhotometry`, PopStar) with what the spectrum says as a prior.
#
# Each stage is one CosmoSIS run: a maximum of the posterior, then a Markov chain. What a stage finds is handed to
# the next. All files stay in `output/` beside this file and can be replayed with `cosmosis NAME.ini`.

# %%
import sys
from pathlib import Path

from orchestrator import MainPipeline
from orchestrator.report.stage_table import stage_table

try:
    here = Path(__file__).resolve().parent
except NameError:  # in a notebook
    here = Path.cwd()
data, output = here / "data", here / "output"
output.mkdir(exist_ok=True)

# %% [markdown]
# ## What the stages share
#
# Rest-frame 3700-8900 Å with the gas emission lines masked, and a multiplicative polynomial of degree 10 that
# absorbs the flux calibration and the dust. `NoiseModel` samples a factor on the inverse variance: these spectra
# have a signal-to-noise ratio of 70 and more, and no library of templates matches a galaxy to 1 %. Without it the
# errors would be those of the photon noise alone.


# %%
def sampling(**options):
    """Maximum of the posterior first, then an ensemble of walkers until their chain has converged."""
    return {"runtime": {"sampler": "maxlike ensemble", "seed": 1}, "ensemble": options}


def stage(name, module, options, **sections):
    """Put the sections of one stage together."""
    return {
        **sampling(),
        "output": {"filename": str(output / name)},
        "pipeline": {
            "modules": module,
            "likelihoods": module,
            "values": str(output / f"{name}_parameters.ini"),
            **({"extra_output": "extra/stellar_mass"} if module != "KinDust" else {}),
        },
        module: options,
        **sections,
    }


# %% [markdown]
# ## A MaNGA galaxy: kinematics, then star-formation history

# %%
few = {"walkers": 24, "nsteps": 40, "max_samples": 160}  # KinDust solves 200 template weights at each point
manga = {
    "inputSpectrum": str(data / "manga_spectra.fits.gz"),
    "inputSpectrumRow": 1,
    "redshift": 0.050231,
    "wlRange": [3700.0, 8900.0],
    "mask_emission_lines": "T",
    "SSPModel": "MIUSCAT",
    "legendre_deg": 10,
    "NoiseModel": "MultiplicativeNoiseModel",
}
kinematics = stage("manga_kinematics", "KinDust", manga, ensemble=few)
star_formation = stage(
    "manga_star_formation",
    "SFHSpectra",
    {**manga, "SFHModel": "FixedMassFracSFH", "SFHArgs": [0.3, 0.6, 0.9]},
    ensemble={"max_samples": 800},
)

manga_pipeline = MainPipeline([kinematics, star_formation], n_cores_list=[2, 1])
manga_status = manga_pipeline.execute_all(plot_result=True)

# %% [markdown]
# ## A DESI galaxy: kinematics, star-formation history, photometry
#
# Its spectrum has a signal-to-noise ratio of 3 to 6 per pixel: velocity and dispersion (`moments = 2`) are what it
# can tell. PopStar reaches from the ultraviolet to the infrared and serves the stages with photometry. The last
# stage takes what the spectrum says about the star-formation history as a Gaussian prior (`handover`); the data of
# the two stages are independent, so nothing is counted twice.

# %%
desi = {
    "inputSpectrum": str(data / "desi_galaxy.fits.gz"),
    "redshift": 0.36874,
    "wlRange": [3700.0, 6750.0],
    "mask_emission_lines": "T",
    "legendre_deg": 10,
    "NoiseModel": "MultiplicativeNoiseModel",
}
population = {"SSPModel": "PopStar", "SFHModel": "DelayedTauSFH"}
kinematics = stage("desi_kinematics", "KinDust", {**desi, "SSPModel": "MIUSCAT", "moments": 2}, ensemble=few)
star_formation = stage("desi_star_formation", "SFHSpectra", {**desi, **population}, ensemble={"max_samples": 800})
photometry = stage(
    "desi_photometry",
    "SFHPhotometry",
    {
        **population,
        "inputPhotometry": str(data / "desi_photometry.txt"),
        "fluxUnits": "nanomaggy",
        "redshift": 0.36874,
        "ExtinctionLaw": "calzetti00",
    },
    handover={"stars.sfh": "prior"},
)

desi_pipeline = MainPipeline([kinematics, star_formation, photometry], n_cores_list=[2, 1, 1])
desi_status = desi_pipeline.execute_all(plot_result=True)

# %% [markdown]
# ## Results
#
# Values are medians with 68 % intervals; a dispersion below what data and templates resolve is an upper limit.

# %%
for result in (*manga_pipeline.results, *desi_pipeline.results):
    print(stage_table(result), end="\n\n")
    for figure in result.figures.values():
        print("figure:", figure)
    print()

# %%
if manga_status or desi_status:
    sys.exit("a stage failed; the messages above say which and why")
