"""Find wavelength, flux and error among the columns of a table by their usual names."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.errors import DataError

__all__ = ["SpectrumColumns", "find_spectrum_columns"]

_WAVELENGTH = ("wavelength", "wave", "lambda", "lam", "wl", "loglam")
_FLUX = ("flux", "flux_density", "flam", "f_lambda")
_ERROR = ("error", "err", "uncertainty", "sigma", "flux_error", "flux_err", "fluxerr", "e_flux", "noise")
_INVERSE_VARIANCE = ("ivar", "inverse_variance", "flux_ivar")

SpectrumColumns = tuple[str, str, str, bool, bool]
"""Names of the wavelength, flux and error columns; is the first log10; is the last an inverse variance."""


def _first(candidates: Sequence[str], names: dict[str, str]) -> str | None:
    return next((names[candidate] for candidate in candidates if candidate in names), None)


def find_spectrum_columns(names: Sequence[str], where: str) -> SpectrumColumns:
    """Return the columns of a spectrum.

    Parameters
    ----------
    names : sequence of str
        In any case.
    where : str
        File, for the message.

    Raises
    ------
    DataError
        One of the three is not there.
    """
    by_lower_case = {name.lower(): name for name in names}
    wavelength, flux = _first(_WAVELENGTH, by_lower_case), _first(_FLUX, by_lower_case)
    error = _first(_ERROR, by_lower_case)
    inverse_variance = _first(_INVERSE_VARIANCE, by_lower_case)
    if wavelength is None or flux is None or (error is None and inverse_variance is None):
        msg = (
            f"{where} has the columns {', '.join(names)}; expected 'wavelength' (or 'loglam'), 'flux', and "
            "'error' or "
            "'ivar'"
        )
        raise DataError(msg)
    last = error if error is not None else inverse_variance
    assert last is not None
    return wavelength, flux, last, wavelength.lower() == "loglam", error is None
