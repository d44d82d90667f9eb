"""The figure of a star-formation history shows the numbers of its table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from orchestrator.fit.derived_parameters import Bands, DerivedParameters, DerivedSummary, FormationHistoryBands
from orchestrator.report import sfh_figure
from orchestrator.report.labels import label_for, unit_for

EDGES = 13.0 * np.linspace(0, 1, 41) ** 2


def bands(centre, spread):
    return Bands(centre, centre, centre - spread, centre + spread, centre - 2 * spread, centre + 2 * spread)


@pytest.fixture
def history():
    """A constant rate of 2 Msun/yr."""
    start, end = EDGES[1:], EDGES[:-1]
    fraction = 1 - end / 13.0
    metals = -1.8 + np.log10(np.maximum(fraction, 1e-3))
    rate = bands(np.full(40, 2.0), 0.3)
    return FormationHistoryBands(start, end, rate, bands(fraction, 0.05), bands(metals, 0.1), n_samples=100)


def only_best(quantity):
    nothing = np.full(40, np.nan)
    return Bands(quantity.best_fit, nothing, nothing, nothing, nothing, nothing)


def line(axes, label):
    (found,) = [line for line in axes.lines if line.get_label() == label]
    return found


def test_bands_median_and_best_fit_are_drawn(history, capture):
    rate, mass, metals = capture(sfh_figure, "plot_formation_history", history).axes[:3]
    lookback, value = line(rate, "Median").get_data()
    assert np.trapezoid(value, lookback) * 1e9 == pytest.approx(2.6e10)
    assert rate.get_ylabel() == r"SFR [$M_\odot$ yr$^{-1}$]"
    assert rate.get_ylim()[0] == 0
    assert rate.get_ylim()[1] > 2.6
    vertices = rate.collections[0].get_paths()[0].vertices[:, 1]
    assert (vertices.min(), vertices.max()) == pytest.approx((1.4, 2.6))
    lookback, value = line(mass, "Median").get_data()
    assert (lookback[-1], value[-1]) == (13.0, 0.0)
    assert np.interp(6.5, lookback, value) == pytest.approx(0.5, abs=1e-3)
    assert metals.get_xlim() == (13.0, 0.0)
    assert line(metals, "Median").get_ydata()[0] == pytest.approx(-1.8)
    assert line(metals, "Best fit").get_linestyle() == "--"


def test_the_best_fit_alone_is_drawn_without_bands(history, capture):
    alone = replace(
        history,
        rate=only_best(history.rate),
        mass_fraction=only_best(history.mass_fraction),
        log10_metallicity=only_best(history.log10_metallicity),
        rate_unit="1 / yr",
    )
    figure = capture(sfh_figure, "plot_formation_history", alone)
    for axes in figure.axes[:3]:
        assert not axes.collections
        assert line(axes, "Best fit").get_linestyle() == "-"
    assert figure.axes[0].get_ylabel() == r"SFR / $M_\mathrm{formed}$ [Gyr$^{-1}$]"
    assert line(figure.axes[0], "Best fit").get_ydata()[0] == pytest.approx(2e9)


def test_a_small_rate_has_its_power_of_ten_in_the_label(history, capture):
    faint = replace(history, rate=bands(np.full(40, 2e-5), 1e-6))
    rate = capture(sfh_figure, "plot_formation_history", faint).axes[0]
    assert rate.get_ylabel() == r"SFR [10$^{-5}$ $M_\odot$ yr$^{-1}$]"
    assert line(rate, "Median").get_ydata()[0] == pytest.approx(2.0)


def test_formation_times_are_marked(history, capture):
    row = DerivedSummary("t50_lookback", "Gyr", "", 6.5, 6.5, 0.3, 6.4, 6.1, 6.8, 5.9, 7.2)
    best = DerivedSummary("t90_lookback", "Gyr", "", 1.3)
    figure = capture(sfh_figure, "plot_formation_history", history, derived=DerivedParameters((row, best)))
    mass = figure.axes[1]
    points = [(line.get_xdata()[0], line.get_ydata()[0]) for line in mass.lines if line.get_marker() == "o"]
    assert points == [(6.4, 0.5), (1.3, 0.9)]
    assert [text.get_text() for text in mass.texts] == ["$t_{50}$", "$t_{90}$"]


def test_a_burst_of_few_samples_does_not_hide_the_rest(history, capture):
    wild = replace(history.rate, upper_95=np.where(np.arange(40) == 3, 500.0, history.rate.upper_95))
    figure = capture(sfh_figure, "plot_formation_history", replace(history, rate=wild))
    assert figure.axes[0].get_ylim()[1] < 8


def test_the_file_is_written(history, tmp_path):
    path = sfh_figure.plot_formation_history(history, tmp_path / "sfh.png", title="a $ galaxy")
    assert path.read_bytes().endswith(b"IEND\xaeB`\x82")


def test_derived_quantities_have_labels_and_units():
    assert label_for("extra", "mass_weighted_age") == r"$\langle t \rangle_M$ [Gyr]"
    assert label_for("extra", "t50") == "$t_{50}$ [Gyr]"
    assert unit_for("extra", "log10_sfr_10myr") == "dex Msun/yr"
