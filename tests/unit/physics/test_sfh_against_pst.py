"""Spectra of every history that population-synthesis-toolkit has, too, against that code (if it is installed)."""

from __future__ import annotations

import warnings
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from sfh_reference import all_models, draw, points_of_table

from orchestrator.physics.sfh import StarFormationHistory
from orchestrator.physics.ssp_weights import ssp_weights

TODAY = 13.728
LOG_AGES = np.concatenate([np.arange(5.0, 8.0, 0.1), np.arange(8.0, 10.2, 0.05)])
METALS = np.array([0.0001, 0.0004, 0.004, 0.008, 0.02, 0.05])
WAVELENGTH = np.geomspace(1000.0, 20000.0, 40)
MODELS = [sfh for sfh in all_models(TODAY) if sfh.name != "ExponentialQuenchedSFH"]


@pytest.fixture(scope="module")
def chemistry() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("pst.cem", reason="population-synthesis-toolkit is not installed")


def spectra() -> np.ndarray:
    """SSPs whose colours change steeply with age and metallicity: (n_met, n_age, n_wave)."""
    ln_age, ln_z = np.log(10.0) * LOG_AGES[:, None], np.log(METALS)[:, None, None]
    slope = 2.0 * np.log(WAVELENGTH / 5500.0) / np.log(10.0)
    return np.exp(-(0.75 + 0.15 * slope) * (ln_age - 20.0) - 0.2 * (ln_z + 4.0) * (1.0 - slope))


def their_model(cem: ModuleType, name: str, values: dict[str, float]) -> Any:
    from astropy import units as u

    common = {
        "today": TODAY * u.Gyr, "mass_today": 1.0 * u.Msun, "alpha_powerlaw": values["alpha_powerlaw"],
        "ism_metallicity_today": values["ism_metallicity_today"] * u.dimensionless_unscaled,
    }  # fmt: skip
    quenching = {"quenching_time": values["quenching_time"] * u.Gyr} if "quenching_time" in values else {}
    if name == "ExponentialSFH":

        class Exponential(cem.MassPropMetallicityMixin, cem.ExponentialCEM):  # type: ignore[name-defined]
            """Their exponential history with their enrichment."""

        tau = 10.0 ** values["logtau"]
        in_all_time = -1.0 / np.expm1(-TODAY / tau)
        model = Exponential(stellar_mass_inf=in_all_time * u.Msun, tau=tau * u.Gyr, today=TODAY * u.Gyr)
        model.mass_today, model.alpha_powerlaw = 1.0 * u.Msun, values["alpha_powerlaw"]
        model.ism_metallicity_today = common["ism_metallicity_today"]
        return model
    if name.startswith("DelayedTau"):
        delayed = cem.ExponentialDelayedQuenchedCEM if quenching else cem.ExponentialDelayedZPowerLawCEM
        return delayed(tau=10.0 ** values["logtau"] * u.Gyr, **common, **quenching)
    if name.startswith("LogNormal"):
        normal = cem.LogNormalQuenchedCEM if quenching else cem.LogNormalZPowerLawCEM
        return normal(t0=values["t0"] * u.Gyr, scale=values["scale"], **common, **quenching)
    times, masses = points_of_table(name, values, TODAY)
    return cem.TabularCEM_ZPowerLaw(times=times * u.Gyr, masses=masses * u.Msun, **common)


def their_weights(cem: ModuleType, model: Any) -> np.ndarray:
    from astropy import units as u

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pst.SSP import SSPBase

        library = SSPBase.__new__(SSPBase)
        library.ages, library.metallicities = 10.0**LOG_AGES * u.yr, METALS * u.dimensionless_unscaled
        # their default of 10 leaves errors of up to a per cent
        weights = model.interpolate_ssp_masses(library, TODAY * u.Gyr, oversample_factor=2000)
    return np.asarray(weights.to_value("Msun"))


@pytest.mark.parametrize("sfh", MODELS, ids=lambda sfh: sfh.name)
def test_spectra_are_theirs(chemistry: ModuleType, sfh: StarFormationHistory) -> None:
    values = draw(sfh, 6, seed=21)
    if sfh.name == "LogNormalQuenchedSFH":  # broader ones begin before their first bin of time ends
        values["scale"] = np.linspace(0.2, 1.2, 6)
    weights = ssp_weights(sfh, values, TODAY, LOG_AGES, METALS)
    for i in range(6):
        model = their_model(chemistry, sfh.name, {name: float(value[i]) for name, value in values.items()})
        expected = np.einsum("za,zaw->w", their_weights(chemistry, model), spectra())
        assert np.einsum("za,zaw->w", weights[i], spectra()) == pytest.approx(expected, rel=1e-3)
