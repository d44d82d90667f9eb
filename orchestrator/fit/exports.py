"""A posterior in files that others read without this package: FITS, ECSV, JSON, ArviZ's InferenceData (NetCDF)."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.config.module_options import MODULES, module_of_section, parse_options
from orchestrator.errors import ChainError, OrchestratorError
from orchestrator.fit.chain import Chain, read_chain
from orchestrator.fit.moments import used_rows
from orchestrator.fit.summary import ParameterSummary, ResultsSummary, summarize_results
from orchestrator.fit.typed_ini import typed_sections

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = [
    "export_posterior",
    "import_arviz",
    "inference_data",
    "kept_rows",
    "samples_table",
    "summary_table",
    "units_and_meanings",
]

FloatArray = NDArray[np.float64]
_STATISTICS = tuple(
    name
    for name in ParameterSummary.__dataclass_fields__
    if name not in ("section", "name", "sigma_to_lower", "sigma_to_upper")
)
_RESAMPLING_SEED = 20240229


def export_posterior(results: Any, path: str | Path) -> Path:
    """Write a posterior to a file whose ending says how.

    Parameters
    ----------
    results : StageResult, Chain, Reader, str or Path
        As `summarize_results` takes it.
    path : str or Path
        ``.fits``: summary, samples, covariance and correlation; ``.ecsv``: the summary; ``.json``: the summary;
        ``.nc``: InferenceData. Written whole or not at all; one that exists is replaced.

    Returns
    -------
    Path

    Raises
    ------
    ChainError
        If the results cannot be summarised or the ending is not known.
    """
    path = Path(path)
    writers = {".fits": _write_fits, ".ecsv": _write_ecsv, ".json": _write_json, ".nc": _write_netcdf}
    if path.suffix not in writers:
        msg = f"A posterior cannot be written to {str(path)!r}: expected an ending of {', '.join(writers)}."
        raise ChainError(msg)
    chain = read_chain(results) if isinstance(results, (str, Path)) else getattr(results, "chain", results)
    known = getattr(results, "summary", None)
    summary = known if isinstance(known, ResultsSummary) else summarize_results(chain)
    temporary = path.with_name(f".{path.stem}.writing{path.suffix}")
    try:
        writers[path.suffix](summary, chain, temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def units_and_meanings(chain: Chain) -> dict[tuple[str, str], tuple[str, str]]:
    """Return unit and meaning of each parameter as the modules of the run declare them.

    Parameters of a user's own modules have neither.
    """
    found = {key: ("", "") for key in chain.parameters}
    try:
        sections: Mapping[str, Mapping[str, Any]] = typed_sections(chain)
    except OrchestratorError:
        return found
    for name in str(sections.get("pipeline", {}).get("modules", "")).split():
        class_name = module_of_section(name)
        if class_name is None:
            continue
        options = {key: value for key, value in sections[name].items() if key != "file"}
        try:
            declared = MODULES[class_name].declared_parameters(
                parse_options(class_name, options, name, quiet=True)
            )
        except OrchestratorError:
            continue  # made with another version: the samples are as good without their units
        for parameter in declared:
            key = (parameter.section, parameter.name)
            if key in found and parameter.lower != parameter.upper:
                found[key] = (parameter.unit, parameter.meaning)
    return found


def summary_table(summary: ResultsSummary, chain: Chain) -> Table:
    """Return a table with a row per statistic and a column per parameter, so that each column has one unit."""
    from astropy.table import Column, Table

    known = units_and_meanings(chain)
    table = Table({"statistic": list(_STATISTICS)})
    for p in summary.parameters:
        unit, meaning = known[p.section, p.name]
        values = [float(getattr(p, name)) for name in _STATISTICS]
        table[p.key] = Column(values, unit=_unit(unit), description=_description(unit, meaning))
    table.meta.update(_meta(summary, chain))
    return table


def samples_table(summary: ResultsSummary, chain: Chain) -> Table:
    """Return the samples after the burn-in, with units; one row per sample, weights included."""
    from astropy.table import Column, Table

    known = units_and_meanings(chain)
    used = used_rows(chain, summary.convergence)
    table = Table()
    for index, key in enumerate(chain.parameters):
        unit, meaning = known[key]
        column = Column(chain.samples[used, index], unit=_unit(unit), description=_description(unit, meaning))
        table["--".join(key)] = column
    for name, values in chain.extra.items():
        if "--" in name:
            table[name] = Column(values[used], description="derived quantity")
    table["weight"] = Column(chain.weights[used] / chain.weights[used].sum(), description="they add up to 1")
    table["log_prior"] = Column(chain.log_prior[used], description="natural logarithm")
    table["log_posterior"] = Column(chain.log_posterior[used], description="natural logarithm, not normalised")
    return table


def inference_data(
    summary: ResultsSummary, chain: Chain, *, log_likelihood: Mapping[str, FloatArray] | None = None
) -> Any:
    """Return the samples as ArviZ's InferenceData: walkers as chains, the burn-in left out.

    Samples of unequal weight are drawn anew, systematically and with a fixed seed, as ArviZ knows no weights; their
    number is the effective one.

    Parameters
    ----------
    summary : ResultsSummary
    chain : Chain
    log_likelihood : mapping of str to ndarray, shape (n_samples, n_data), optional
        Log-likelihood of each datum for the rows that are kept, by data set.
    """
    arviz = import_arviz()
    rows = kept_rows(chain, summary)
    n_chains = max(1, chain.n_walkers)

    def shaped(values: FloatArray) -> FloatArray:
        draws = len(rows) // n_chains
        return np.moveaxis(values[: draws * n_chains].reshape(draws, n_chains, *values.shape[1:]), 0, 1)

    known = units_and_meanings(chain)
    data = arviz.from_dict(
        posterior={name: shaped(chain.samples[rows, i]) for i, name in enumerate(chain.names)},
        sample_stats={"lp": shaped(chain.log_posterior[rows])},
        log_likelihood=None if log_likelihood is None else {k: shaped(v) for k, v in log_likelihood.items()},
        attrs=_meta(summary, chain),
    )
    for key, name in zip(chain.parameters, chain.names, strict=True):
        unit, meaning = known[key]
        data.posterior[name].attrs.update(units=unit, long_name=meaning)
    return data


def kept_rows(chain: Chain, summary: ResultsSummary, most: int | None = None) -> NDArray[np.int64]:
    """Return rows of equal weight: those after the burn-in, or a systematic sample of weighted ones.

    Parameters
    ----------
    chain : Chain
    summary : ResultsSummary
    most : int, optional
        At most so many, evenly spaced.
    """
    used = np.flatnonzero(used_rows(chain, summary.convergence))
    if not chain.is_markov_chain and len(used):
        n = max(1, int(summary.convergence.effective_samples))
        upto = np.cumsum(chain.weights[used]) / chain.weights[used].sum()
        places = (np.arange(n) + np.random.default_rng(_RESAMPLING_SEED).random()) / n
        used = used[np.minimum(np.searchsorted(upto, places), len(used) - 1)]
    if most is not None and len(used) > most:
        used = used[np.linspace(0, len(used) - 1, most).astype(int)]
    return used


def import_arviz() -> Any:
    """Import ArviZ, which takes two seconds and warns about its own future."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import arviz
    return arviz


def _meta(summary: ResultsSummary, chain: Chain) -> dict[str, Any]:
    state = summary.convergence
    meta: dict[str, Any] = {
        "sampler": summary.sampler,
        "verdict": summary.verdict,
        "verdict_reason": summary.verdict_reason,
        "best_fit_kind": summary.best_fit.kind,
        "n_rows": summary.n_rows,
        "burn_in": state.burn_in,
        "thinning": state.thinning,
        "n_walkers": chain.n_walkers,
        "effective_samples": float(state.effective_samples),
    }
    if summary.evidence:
        meta |= {"log_evidence": summary.evidence[0], "log_evidence_error": summary.evidence[1]}
    return meta


def _unit(text: str) -> str | None:
    """Return a unit that FITS can hold; a logarithm has none, its description says of what it is."""
    from astropy.units import Unit

    if not text or _logarithm_of(text):
        return None
    try:
        return str(Unit(text).to_string("fits"))
    except ValueError:
        return None


def _logarithm_of(unit: str) -> str:
    found = re.fullmatch(r"(?:log10|dex)\s*\(?(.*?)\)?", unit)
    return (found[1] or "a ratio") if found else ""


def _description(unit: str, meaning: str) -> str:
    of = _logarithm_of(unit)
    note = f" (decimal logarithm of {of})" if of else "" if _unit(unit) or not unit else f" (unit: {unit})"
    return (meaning + note).strip() or "parameter of the model"


def _write_fits(summary: ResultsSummary, chain: Chain, path: Path) -> None:
    from astropy.io import fits

    primary = fits.PrimaryHDU()
    keys = {"verdict_reason": "REASON", "best_fit_kind": "BESTFIT", "effective_samples": "NEFF", "thinning": "THIN",
            "log_evidence": "LNZ", "log_evidence_error": "LNZERR", "n_walkers": "NWALKERS", "burn_in": "BURNIN",
            "n_rows": "NROWS", "sampler": "SAMPLER", "verdict": "VERDICT"}  # fmt: skip
    for name, value in _meta(summary, chain).items():
        primary.header[keys[name]] = value if not isinstance(value, float) or np.isfinite(value) else None
    hdus = [primary]
    for name, table in (("SUMMARY", summary_table(summary, chain)), ("SAMPLES", samples_table(summary, chain))):
        table.meta.clear()
        hdu = fits.table_to_hdu(table)
        hdu.name = name
        for index, column in enumerate(table.colnames, 1):
            if table[column].description:
                hdu.header.set(f"TCOMM{index}", table[column].description, after=f"TTYPE{index}")
        hdus.append(hdu)
    for name, matrix in (("COVARIANCE", summary.covariance), ("CORRELATION", summary.correlation)):
        image = fits.ImageHDU(matrix, name=name)
        for index, parameter in enumerate(chain.names, 1):
            image.header[f"PAR{index}"] = (parameter, "row and column of the matrix")
        hdus.append(image)
    fits.HDUList(hdus).writeto(path, checksum=True, overwrite=True, output_verify="exception")


def _write_ecsv(summary: ResultsSummary, chain: Chain, path: Path) -> None:
    summary_table(summary, chain).write(path, format="ascii.ecsv", overwrite=True)


def _write_json(summary: ResultsSummary, chain: Chain, path: Path) -> None:
    del chain
    summary.write_json(path)


def _write_netcdf(summary: ResultsSummary, chain: Chain, path: Path) -> None:
    data = inference_data(summary, chain)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data.to_netcdf(str(path))
