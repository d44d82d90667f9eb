"""What ``orchestrator init`` writes: a commented run file, and a table of targets if there is none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orchestrator.errors import ConfigError, ProductionError

__all__ = ["write_beginning"]

_EXAMPLE_DATA = Path(__file__).resolve().parents[2] / "examples" / "data" / "manga_spectra.fits.gz"
_RUN_FILE = "survey.yaml"
_ROLES = {
    "identifier": ("name", "target", "id", "identifier", "targetid", "objid", "plateifu", "galaxy"),
    "spectrum": ("spectrum", "file", "filename", "path", "spectrum_file"),
    "redshift": ("redshift", "z", "zspec", "z_spec"),
}

_HEAD = """\
# A production: one pipeline over many targets. Check it, then run it; the same command continues it:
#
#     orchestrator check {run_file}
#     orchestrator run {run_file}
#     orchestrator status {run_file}
#
output: production            # folder of the results, relative to this file
seed: 1                       # all random numbers follow from it, and from the names of target and stage
samples: shards               # chains in a few large files; directories: one folder per target; none
# ledger: postgresql+psycopg://user@host/database     # SQLite in the output folder if left out

targets:
  table: {table}
  identifier: {identifier}             # column with a unique name for each target
  # where: "{condition}"       # only rows for which this holds
  # cross: {{seed: [1, 2, 3]}}  # every target with each of these seeds; or variants with overrides
  # A column named Section.option, such as {override}, overrides that option for its target.

# Stages, in order. Sections are those of a MainPipeline configuration, without output.filename; "{{column}}" takes
# the value of a column of the table.
pipeline:
"""
_TAIL = """
# Where the work runs; --site NAME takes another one.
site: laptop
sites:
  laptop: {executor: local}   # all cores of this machine; workers: 2 for two
  cluster:
    executor: slurm
    # account: ...
    # partition: ...
    walltime: "02:00:00"
    max_blocks: 4             # Slurm jobs at a time, each of one node
"""
_GALAXIES = """\
  kinematics:
    runtime: {{sampler: maxlike ensemble}}
    ensemble: {{walkers: 24, nsteps: 40, max_samples: 160}}
    pipeline: {{modules: KinDust}}
    KinDust:
      inputSpectrum: "{{{spectrum}}}"    # relative files are relative to the table{row}
      redshift: "{{{redshift}}}"
      wlRange: [3700, 8900]
      SSPModel: MIUSCAT              # orchestrator ssp fetch MIUSCAT
      mask_emission_lines: T
      legendre_deg: 10
      NoiseModel: MultiplicativeNoiseModel
    stage: {{time_limit: 600, memory_limit: 4000}}    # seconds, megabytes
  history:
    runtime: {{sampler: maxlike ensemble}}
    ensemble: {{max_samples: 800}}
    pipeline: {{modules: SFHSpectra}}
    SFHSpectra:
      inputSpectrum: "{{{spectrum}}}"{row}
      redshift: "{{{redshift}}}"
      wlRange: [3700, 8900]
      SSPModel: MIUSCAT
      SFHModel: FixedMassFracSFH
      SFHArgs: [0.3, 0.6, 0.9]
      mask_emission_lines: T
      legendre_deg: 10
      NoiseModel: MultiplicativeNoiseModel
    stage: {{time_limit: 600, memory_limit: 4000}}
"""
_GAUSSIAN = """\
  first:
    runtime: {sampler: maxlike emcee}
    emcee: {walkers: 16, samples: 40, nsteps: 20}
    pipeline: {modules: GaussianTarget}
    GaussianTarget: {mean: ["{mean_x}", "{mean_y}"], sigma: 0.5}     # a known answer, to try things out
    stage: {time_limit: 60}
"""
_GAUSSIAN_TABLE = "name,mean_x,mean_y\na,1.0,0.0\nb,0.5,-0.5\nc,0.0,2.0\n"


def write_beginning(folder: Path, table: Path | None = None) -> Path:
    """Write a run file into a folder and return its path.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    table : Path, optional
        The user's table of targets. Without, the spectra of the examples are the targets if the package runs from
        its source, else three known likelihoods that need no data.

    Raises
    ------
    ProductionError
        If there is a run file already.
    ConfigError
        If the table cannot be read, or none of its columns can be the identifier.
    """
    run_file = folder / _RUN_FILE
    if run_file.exists():
        msg = f"{str(run_file)!r} is there already; edit it, or give another folder"
        raise ProductionError(msg)
    words = {"run_file": _RUN_FILE, "condition": "redshift < 0.1", "override": "KinDust.velscale"}
    if table is not None:
        text = _of_table(table, words)
        folder.mkdir(parents=True, exist_ok=True)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        text = _of_examples(folder, words) if _EXAMPLE_DATA.is_file() else _of_gaussians(folder, words)
    run_file.write_text(text, encoding="utf-8")
    return run_file


def _of_table(table: Path, words: dict[str, str]) -> str:
    from orchestrator.production.target_tables import open_table

    columns = open_table(table).columns
    found = {role: _column(columns, names) for role, names in _ROLES.items()}
    if not found["identifier"]:
        msg = (
            f"none of the columns of {str(table)!r} looks like a name of targets: {', '.join(columns)}; name one of "
            "them 'name'"
        )
        raise ConfigError(msg)
    spectrum, redshift = found["spectrum"] or "spectrum", found["redshift"] or "redshift"
    missing = [name for name in (spectrum, redshift) if name not in columns]
    note = "".join(f"  # there is no column {name!r} in the table yet: put the right one below\n" for name in missing)
    head = _HEAD.format(**words, table=str(table.absolute()), identifier=found["identifier"])
    return head + note + _GALAXIES.format(spectrum=spectrum, redshift=redshift, row="") + _TAIL


def _column(columns: Sequence[str], names: Sequence[str]) -> str:
    lowered = {column.lower(): column for column in reversed(columns)}
    return next((lowered[name] for name in names if name in lowered), "")


def _of_examples(folder: Path, words: dict[str, str]) -> str:
    """Write a table of the eight MaNGA spectra of the examples, which lie in one file, one per row."""
    from astropy.io import fits

    redshifts = fits.getdata(_EXAMPLE_DATA, "Z")
    lines = ["name,spectrum,row,redshift"]
    lines += [f"manga_{row},{_EXAMPLE_DATA},{row},{redshift:.6f}" for row, redshift in enumerate(redshifts)]
    (folder / "galaxies.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    head = _HEAD.format(**words, table="galaxies.csv", identifier="name")
    row = '\n      inputSpectrumRow: "{row}"'
    return head + _GALAXIES.format(spectrum="spectrum", redshift="redshift", row=row) + _TAIL


def _of_gaussians(folder: Path, words: dict[str, str]) -> str:
    (folder / "targets.csv").write_text(_GAUSSIAN_TABLE, encoding="utf-8")
    words = {**words, "condition": "mean_x > 0", "override": "GaussianTarget.sigma"}
    return _HEAD.format(**words, table="targets.csv", identifier="name") + _GAUSSIAN + _TAIL
