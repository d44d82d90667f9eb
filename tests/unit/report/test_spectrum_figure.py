import dataclasses

import numpy as np
import pytest

from orchestrator.report import spectrum_figure
from orchestrator.report.spectrum_figure import SpectrumFigureData, masked_runs, plot_spectrum, robust_limits


@pytest.fixture
def data():
    rng = np.random.default_rng(4)
    wavelength = np.linspace(3800.0, 6800.0, 1500)
    model = 2e-17 * (1 + 0.2 * np.sin(wavelength / 300))
    good = np.ones(1500, dtype=bool)
    good[200:230] = good[700] = False
    return SpectrumFigureData(
        wavelength, model + 1e-18 * rng.normal(size=1500), np.full(1500, 1e-18), good, model,
        redshift=0.1, chi2=1480.0, n_degrees_of_freedom=1460, title="Mock", annotations=("v = 12 +- 3 km/s",),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("good", "runs"),
    [
        ([1, 1, 1], []),
        ([0, 0, 0], [(0, 3)]),
        ([0, 1, 0, 0, 1], [(0, 1), (2, 4)]),
        ([1, 1, 0], [(2, 3)]),
    ],
)
def test_masked_runs(good, runs):
    assert masked_runs(np.array(good, dtype=bool)) == runs


def test_file_is_written(data, tmp_path):
    path = plot_spectrum(data, tmp_path / "spectrum.png")
    assert path.read_bytes().endswith(b"IEND\xaeB`\x82")


def test_a_cosmic_ray_does_not_rule_the_axis(data):
    low, high = robust_limits(data)
    flux = data.flux.copy()
    flux[500] = 1e-12
    hit = dataclasses.replace(data, flux=flux)
    assert robust_limits(hit)[1] == pytest.approx(high, rel=0.05)
    assert robust_limits(hit)[0] == pytest.approx(low, rel=0.05)


def test_masked_pixels_do_not_enter_the_limits(data):
    flux = np.where(data.good_pixels, data.flux, 1e-15)
    assert robust_limits(dataclasses.replace(data, flux=flux)) == robust_limits(data)


def test_the_whole_model_is_inside_the_limits(data):
    model = data.model.copy()
    model[300] = 9e-17
    assert robust_limits(dataclasses.replace(data, model=model))[1] >= 9e-17


def test_residuals_use_the_scaled_errors_and_skip_pixels_without_data(data):
    error = data.uncertainty.copy()
    error[3] = np.inf
    scaled = dataclasses.replace(data, uncertainty=error, noise_scale=2.0)
    expected = (data.flux - data.model) / 2e-18
    np.testing.assert_allclose(scaled.residuals[4:], expected[4:])
    assert np.isnan(scaled.residuals[3])


def test_panels_show_masks_lines_units_and_both_frames(data, capture):
    figure = capture(spectrum_figure, "plot_spectrum", data)
    upper, lower = figure.axes
    spans = [patch for patch in upper.patches if patch.get_width() < 200]
    assert len(spans) == 2
    step = data.wavelength[1] - data.wavelength[0]
    assert sorted(patch.get_width() / step for patch in spans) == pytest.approx([1.0, 30.0])
    assert upper.get_ylabel() == r"$F_\lambda$ [10$^{-17}$ erg s$^{-1}$ cm$^{-2}$ $\mathrm{\AA}^{-1}$]"
    levels = {line.get_ydata()[0] for line in lower.lines if len(line.get_ydata()) == 2}
    assert {-3, -1, 0, 1, 3} <= levels
    (top,) = upper.child_axes
    assert "Observed" in top.get_xlabel()
    assert top.get_xlim() == pytest.approx((3800 * 1.1, 6800 * 1.1))
    stated = upper.get_title("right")
    assert "1480.0/1460 = 1.01" in stated
    assert "12 ± 3 km/s" in stated


def test_no_pixel_without_data_is_drawn_as_zero(data, capture):
    flux, error = data.flux.copy(), data.uncertainty.copy()
    flux[200:230], error[200:230] = 0.0, np.inf
    upper, _ = capture(
        spectrum_figure, "plot_spectrum", dataclasses.replace(data, flux=flux, uncertainty=error)
    ).axes
    for line in upper.lines:
        if line.get_drawstyle() == "steps-mid":
            assert np.isnan(line.get_ydata()[200:230]).all()


def test_scaled_errors_are_said(data, capture):
    figure = capture(spectrum_figure, "plot_spectrum", dataclasses.replace(data, noise_scale=1.9))
    assert r"errors $\times$ 1.9" in figure.axes[0].get_title("right")


def test_marked_lines_carry_labels_that_do_not_overlap(data, capture):
    figure = capture(spectrum_figure, "plot_spectrum", dataclasses.replace(data, emission_lines=True))
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) > 5
    for i, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in boxes[i + 1 :])


def test_nothing_sticks_out_of_the_page(data, capture):
    long = dataclasses.replace(data, annotations=tuple(f"parameter {i} = 10.0 +- 0.1" for i in range(9)))
    figure = capture(spectrum_figure, "plot_spectrum", long)
    box = figure.get_tightbbox()
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= figure.get_figwidth()
    assert box.y1 <= figure.get_figheight()


@pytest.mark.parametrize("flux", [0.0, np.nan])
def test_an_all_masked_spectrum_still_gives_a_figure(data, tmp_path, flux):
    nothing = dataclasses.replace(
        data, flux=np.full(1500, flux), uncertainty=np.full(1500, np.inf),
        good_pixels=np.zeros(1500, dtype=bool),
        model=np.full(1500, np.nan), continuum=np.ones(1500), chi2=np.nan, n_degrees_of_freedom=0,
    )  # fmt: skip
    assert plot_spectrum(nothing, tmp_path / "empty.png").stat().st_size > 0


def test_arrays_of_other_lengths_are_refused(data):
    with pytest.raises(ValueError, match=r"model has shape \(3,\)"):
        dataclasses.replace(data, model=np.ones(3))
