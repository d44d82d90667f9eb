"""Derived quantities as extra outputs, and as tables after a stage: the same numbers both ways."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
from quick_stages import full_fit, one_fault, write_spectrum
from small_library import write_library

from orchestrator import MainPipeline, load_run
from orchestrator.fit.derive import derive, posterior_rows
from orchestrator.fit.moments import weighted_percentiles
from orchestrator.fit.reader import Reader
from orchestrator.physics.derived_quantities import DERIVED_QUANTITIES

ALL = " ".join(f"extra/{name}" for name in DERIVED_QUANTITIES)
SHORT = {"walkers": 16, "samples": 12, "nsteps": 4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A spectrum and a library."""
    folder = tmp_path_factory.mktemp("derived")
    write_library(folder / "toy.npz")
    write_spectrum(folder / "galaxy.dat")
    return folder


@pytest.fixture
def here(folder, tmp_path, monkeypatch):
    for name in ("toy.npz", "galaxy.dat"):
        (tmp_path / name).symlink_to(folder / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sampled(output, extra_output=None, **options):
    config = full_fit(output, "toy.npz", "emcee", light_range=[4800.0, 5600.0], **options)
    config["emcee"] = SHORT
    if extra_output:
        config["pipeline"]["extra_output"] = extra_output
    return config


def test_extra_outputs_and_tables_hold_the_same(here, caplog):
    with caplog.at_level(logging.WARNING):
        asked, silent = MainPipeline([sampled("asked", ALL), sampled("silent")]).run()
    assert "one by one" not in caplog.text, "batches and CosmoSIS's own evaluation agree"
    assert "no derived" not in caplog.text
    chain, derived = asked.chain, asked.derived
    rows, weights = posterior_rows(chain, asked.summary)
    assert derived.n_samples == len(rows) == 12 * 16 - asked.summary.convergence.burn_in * 16
    assert [row.name for row in derived.rows] == list(DERIVED_QUANTITIES)
    for row in derived.rows:
        column = chain.extra[f"extra--{row.name}"]
        assert row.best_fit == pytest.approx(column[asked.best_fit.row], rel=1e-8)
        expected = weighted_percentiles(column[rows][:, None], weights, (2.5, 16.0, 50.0, 84.0, 97.5))[:, 0]
        found = (row.lower_95, row.lower_68, row.median, row.upper_68, row.upper_95)
        assert found == pytest.approx(expected.tolist(), rel=1e-7)
        assert row.mean == pytest.approx(weights @ column[rows], rel=1e-7)
        assert row.unit == DERIVED_QUANTITIES[row.name].unit
    assert "4800-5600 Angstrom" in derived["light_weighted_age"].description
    # Without the columns in the chain the mass comes from the modules; all else is as before.
    bare = replace(chain, extra={})
    reader = Reader.from_chain(bare)
    again = derive(asked.summary, reader, {"FullSpectralFit": reader.get_module("FullSpectralFit")})
    for row in derived.rows:
        assert again.parameters[row.name].median == pytest.approx(row.median, rel=1e-6)
    assert not any(name.startswith("extra--") for name in silent.chain.extra)
    assert {row.name for row in silent.derived.rows} == set(DERIVED_QUANTITIES)


def test_the_history_agrees_with_the_quantities_and_is_read_back(here):
    (result,) = MainPipeline([sampled("fit")]).run(plot_result=True)
    history, derived = result.formation_history, result.derived
    width = (history.lookback_start - history.lookback_end) * 1e9
    mass = 10 ** derived["stellar_mass"].best_fit
    assert (history.rate.best_fit @ width) == pytest.approx(mass, rel=1e-6)
    assert history.rate_unit == "Msun / yr"
    bands = history.mass_fraction
    for name, fraction in (("t50_lookback", 0.5), ("t90_lookback", 0.9)):
        found = np.interp(-fraction, -bands.median, history.lookback_end)
        assert found == pytest.approx(derived[name].median, abs=0.05)
    for quantity in (history.rate, bands, history.log10_metallicity):
        ordered = [quantity.lower_95, quantity.lower_68, quantity.median, quantity.upper_68, quantity.upper_95]
        assert (np.diff(ordered, axis=0) >= 0).all()
    assert result.stage.formation_history_figure.is_file()
    again = load_run("fit")
    assert again.derived == derived
    np.testing.assert_array_equal(again.formation_history.rate.upper_95, history.rate.upper_95)
    table = history.to_table()
    assert str(table["sfr_median"].unit) == "solMass / yr"
    written = here / "fit_derived_parameters.ecsv"
    written.write_text(written.read_text().replace("n_rows: 192", "n_rows: 191"))
    assert load_run("fit").derived is None, "a table of another chain is not taken"


def test_an_optimiser_gives_the_best_fit_alone(here):
    quiet = full_fit("quiet", "toy.npz")
    quiet["output"]["derived"] = "F"
    (best, none) = MainPipeline([full_fit("best", "toy.npz"), quiet]).run(plot_result=True)
    assert best.derived.n_samples == 0
    assert np.isnan(best.derived["t50"].median)
    assert 0 < best.derived["t50"].best_fit < 13.8
    assert not best.formation_history.rate.is_sampled
    assert (best.formation_history.rate.best_fit > 0).all()
    assert best.stage.formation_history_figure.is_file()
    assert none.derived is None
    assert none.formation_history is None
    assert not none.stage.formation_history_figure.exists()


def test_a_joint_fit_has_one_mass(here):
    columns = np.loadtxt("galaxy.dat")
    np.savetxt("blue.dat", columns[:300])
    np.savetxt("red.dat", columns[300:])
    joint = full_fit("joint", "toy.npz")
    options = joint.pop("FullSpectralFit")
    for arm in ("blue", "red"):
        joint[f"FullSpectralFit_{arm}"] = {**options, "inputSpectrum": f"{arm}.dat"}
    joint["pipeline"] |= {"modules": "FullSpectralFit_blue FullSpectralFit_red", "extra_output": ALL}
    (result,) = MainPipeline([joint]).run()
    reader = Reader.from_chain(replace(result.chain, extra={}))
    modules = {name: reader.get_module(name) for name in reader.modules}
    found = derive(result.summary, reader, modules).parameters
    alone = derive(result.summary, reader, {"FullSpectralFit_red": modules["FullSpectralFit_red"]}).parameters
    for name in DERIVED_QUANTITIES:
        written = result.best_fit.extra[f"extra--{name}"]
        assert found[name].best_fit == pytest.approx(written, rel=1e-6), name
        assert result.derived[name].best_fit == pytest.approx(written, rel=1e-6), name
    assert abs(alone["stellar_mass"].best_fit - found["stellar_mass"].best_fit) > 1e-6


def test_names_that_do_not_exist_are_refused(here):
    message = one_fault(sampled("fit", "extra/stellar_mass extra/log10_sfr_10gyr"))
    assert "'log10_sfr_10gyr'" in message
    assert "did you mean 'log10_sfr_10myr'?" in message


def test_a_library_without_a_mass_scale_gives_no_masses(here):
    arrays = dict(np.load("toy.npz"))
    arrays["flux"] = arrays["flux"] / arrays["flux"].mean(axis=-1, keepdims=True)
    del arrays["surviving_fraction"]
    np.savez("relative.npz", **arrays, mass_normalised=False)
    config = full_fit("fit", "relative.npz")
    message = one_fault({**config, "pipeline": {**config["pipeline"], "extra_output": "extra/log10_sfr_10myr"}})
    assert "extra_output asks for extra/log10_sfr_10myr, but the spectra of toy have no common mass scale" in message
    (result,) = MainPipeline([config]).run()
    assert [row.name for row in result.derived.rows] == ["light_weighted_age", "light_weighted_log10_metallicity"]
    assert "no common mass scale" in result.derived.unavailable["stellar_mass"]
    with pytest.raises(KeyError, match="stellar_mass is not available: the spectra of toy have no common mass scale"):
        result.derived["stellar_mass"]
    assert result.formation_history is None
