import dataclasses

import numpy as np
import pytest

from orchestrator.report import photometry_figure
from orchestrator.report.photometry_figure import PhotometryFigureData, plot_photometry
from orchestrator.report.style import BLUE, GREY


@pytest.fixture
def data():
    wavelength = np.array([1535.0, 4719.0, 6185.0, 8961.0, 33526.0, 115608.0])
    model = np.array([0.3, 12.0, 25.0, 48.0, 57.0, 12.0])
    return PhotometryFigureData(
        names=("galex-FUV", "sdss2010-g", "sdss2010-r", "sdss2010-z", "wise2010-W1", "wise2010-W3"),
        effective_wavelength=wavelength, bandwidth=0.2 * wavelength,
        flux=np.array([1.0, 12.5, 24.0, 40.0, 58.0, 30.0]),
        uncertainty=np.array([0.2, 1.0, 1.0, 2.0, 2.0, 5.0]),
        is_upper_limit=np.array([1, 0, 0, 0, 0, 1], dtype=bool),
        is_lower_limit=np.array([0, 0, 0, 1, 0, 0], dtype=bool),
        model_flux=model, sed_wavelength=np.geomspace(1200, 2e5, 300),
        sed_flux=np.interp(np.geomspace(1200, 2e5, 300), wavelength, model), chi2=3.2,
    )  # fmt: skip


def arrows(axes):
    """Return (x, direction, colour) of every arrow."""
    return [
        (text.xy[0], np.sign(text.xyann[1]), text.arrow_patch.get_edgecolor())
        for text in axes.texts
        if getattr(text, "arrow_patch", None) is not None
    ]


def test_limits_are_arrows_in_their_direction(data, capture):
    from matplotlib.colors import to_rgba

    upper, lower, *_ = capture(photometry_figure, "plot_photometry", data).axes
    for axes in (upper, lower):
        found = sorted(arrows(axes))
        assert [round(x, 4) for x, _, _ in found] == [0.1535, 0.8961, 11.5608]
        assert [direction for _, direction, _ in found] == [-1, 1, -1]
        assert {colour for _, _, colour in found} == {to_rgba(BLUE)}


def test_limits_are_not_drawn_as_points(data, capture):
    upper, *_ = capture(photometry_figure, "plot_photometry", data).axes
    (points,) = [line for line in upper.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(points.get_xdata(), [0.4719, 0.6185, 3.3526])


def test_measurement_below_zero_is_an_arrow_of_its_own_kind(data, capture):
    from matplotlib.colors import to_rgba

    flux = data.flux.copy()
    flux[1] = -0.5
    negative = dataclasses.replace(data, flux=flux)
    assert negative.shown_flux[1] == pytest.approx(1.5)
    upper, *_ = capture(photometry_figure, "plot_photometry", negative).axes
    assert (0.4719, -1, to_rgba(GREY)) in [(round(x, 4), d, colour) for x, d, colour in arrows(upper)]


def test_model_bands_are_open_squares_on_logarithmic_axes(data, capture):
    upper, *_ = capture(photometry_figure, "plot_photometry", data).axes
    (squares,) = [line for line in upper.lines if line.get_marker() == "s"]
    np.testing.assert_allclose(squares.get_ydata(), data.model_flux)
    assert squares.get_markerfacecolor() == "none"
    assert (upper.get_xscale(), upper.get_yscale()) == ("log", "log")


def test_right_axis_is_the_same_flux_in_magnitudes(data, capture):
    upper, _, right = capture(photometry_figure, "plot_photometry", data).axes
    np.testing.assert_allclose(right.get_ylim(), 23.9 - 2.5 * np.log10(upper.get_ylim()))
    unknown = capture(photometry_figure, "plot_photometry", dataclasses.replace(data, unit="counts"))
    assert len(unknown.axes) == 2


def test_a_limit_satisfied_by_far_stays_inside_the_residual_panel(data, capture):
    flux = data.flux.copy()
    flux[5] = 1e4
    _, lower, *_ = capture(photometry_figure, "plot_photometry", dataclasses.replace(data, flux=flux)).axes
    assert lower.get_ylim()[1] < 10
    assert all(low < text.xy[1] < high for text in lower.texts for low, high in [lower.get_ylim()])


def test_every_filter_is_named_without_overlap(data, capture):
    upper, *_ = capture(photometry_figure, "plot_photometry", data).axes
    named = [text for text in upper.texts if text.get_text()]
    assert {text.get_text() for text in named} == set(data.names)
    boxes = [text.get_window_extent() for text in named]
    for i, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in boxes[i + 1 :])


def test_without_sed_and_with_one_band_the_file_is_written(data, tmp_path):
    first = {name: getattr(data, name)[1:2] for name in _PER_BAND}
    one = dataclasses.replace(data, **first, sed_wavelength=np.empty(0), sed_flux=np.empty(0))
    assert plot_photometry(one, tmp_path / "one.png").read_bytes().endswith(b"IEND\xaeB`\x82")


_PER_BAND = ("names", "effective_wavelength", "bandwidth", "flux", "uncertainty", "is_upper_limit",
             "is_lower_limit", "model_flux")  # fmt: skip


def test_arrays_of_other_lengths_are_refused(data):
    with pytest.raises(ValueError, match=r"flux has shape \(2,\).*6 filters"):
        dataclasses.replace(data, flux=np.ones(2))
