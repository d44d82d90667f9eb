import dataclasses

import numpy as np
import pytest

from orchestrator.report import index_figure
from orchestrator.report.index_figure import IndexFigureData, plot_indices


@pytest.fixture
def data():
    return IndexFigureData(
        names=("Dn4000", "HdeltaA", "Hbeta", "Mg2", "Mgb"),
        units=("ratio", "Angstrom", "Angstrom", "mag", "Angstrom"),
        values=np.array([1.6, -1.2, 1.4, 0.2, 3.1]), errors=np.array([0.01, 0.2, 0.1, 0.01, 0.1]),
        model=np.array([1.62, -1.0, 1.45, 0.19, 3.3]), model_without_emission=np.array([1.62, -0.8, 2.4, 0.19, 3.3]),
        chi2=4.2, n_degrees_of_freedom=2, title="EquivalentWidthFit: galaxy.txt", annotations=("SSPs: MIUSCAT",),
    )  # fmt: skip


def panels(figure):
    return [axes for axes in figure.axes if axes.axison]


def test_one_column_per_unit_with_all_indices(data, capture):
    widths, pulls, molecular, _, breaks, _ = panels(capture(index_figure, "plot_indices", data))
    assert "Equivalent width" in widths.get_ylabel()
    labels = [label.get_text() for label in pulls.get_xticklabels()]
    assert labels == [r"H$\delta_\mathrm{A}$", r"H$\beta$", r"Mg$\,b$"]
    assert len(molecular.get_xticks()) == len(breaks.get_xticks()) == 1
    assert "mag" in molecular.get_ylabel()


def test_pulls_and_values_are_those_of_the_data(data, capture):
    widths, pulls, *_ = panels(capture(index_figure, "plot_indices", data))
    (points,) = [line for line in pulls.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(points.get_ydata(), [-1.0, -0.5, -2.0])
    (squares,) = [line for line in widths.lines if line.get_marker() == "s"]
    np.testing.assert_allclose(squares.get_ydata(), [-1.0, 1.45, 3.3])
    (stars,) = [line for line in widths.lines if line.get_marker() == "_"]
    np.testing.assert_allclose(stars.get_ydata(), [-0.8, 2.4])  # only where the gas changes the model
    low, high = pulls.get_ylim()
    assert low < -3
    assert high > 3


def test_file_is_written(data, tmp_path):
    one = dataclasses.replace(
        data, names=("Mgb",), units=("Angstrom",), values=np.array([3.0]), errors=np.array([0.1]),
        model=np.array([3.0]), model_without_emission=None,
    )  # fmt: skip
    for number, figure in enumerate((data, one)):
        path = plot_indices(figure, tmp_path / f"figure_{number}.png")
        assert path.stat().st_size > 10_000
