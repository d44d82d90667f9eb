"""A small production as text: two stages, a table of three targets."""

from __future__ import annotations

from pathlib import Path

TABLE = """name,spectrum,redshift,n_good
a,spectra/a.txt,0.05,3
b,spectra/b.txt,0.06,0
c,spectra/c.txt,,5
"""
RUN_FILE = """
seed: 7
targets:
  table: tables/galaxies.csv
  identifier: name
pipeline:
  kinematics:
    runtime: {sampler: maxlike}
    pipeline: {modules: KinDust}
    KinDust: {inputSpectrum: "{spectrum}", redshift: "{redshift}", velscale: 50.0, mask: masks/all.txt, SSPModel: X}
    stage: {time_limit: 60, retries: {unknown: 2}, recipes: [{runtime: {sampler: maxlike emcee}}]}
  colours:
    function: {call: "my.steps:colours", band: g, table: tables/galaxies.csv}
    stage: {needs: []}
options: {KinDust.velscale: 60.0}
site: laptop
sites:
  laptop: {executor: local, workers: 2, options: {kinematics.KinDust.velscale: 70.0}}
  cluster: {executor: slurm, max_blocks: 4}
"""


def write_production(folder: Path, run_file: str = RUN_FILE, table: str = TABLE) -> Path:
    """Write run file and table, and return the path of the run file."""
    (folder / "tables").mkdir(parents=True, exist_ok=True)
    (folder / "tables" / "galaxies.csv").write_text(table)
    path = folder / "survey.yaml"
    path.write_text(run_file)
    return path
