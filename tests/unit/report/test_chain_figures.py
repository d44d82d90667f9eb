import sys

import numpy as np
import pytest

from orchestrator.report import chain_figures
from orchestrator.report.chain_figures import plot_corner, plot_trace

NAMES = ["kinematics--los_vel", "kinematics--los_sigma", ("dust.extinction", "a_v")]


@pytest.fixture
def samples():
    return np.random.default_rng(2).normal([12, 116, 0.3], [3, 4, 0.05], size=(3000, 3))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_corner_writes_a_file_for_any_number_of_parameters(samples, tmp_path, n):
    path = plot_corner(samples[:, :n], None, NAMES[:n], tmp_path / "corner.png", samples[0, :n])
    assert path.read_bytes().endswith(b"IEND\xaeB`\x82")


def test_corner_leaves_no_figure_with_pyplot(samples, tmp_path):
    plot_corner(samples, None, NAMES, tmp_path / "corner.png")
    assert sys.modules["matplotlib._pylab_helpers"].Gcf.get_all_fig_managers() == []


def test_corner_states_weighted_medians(samples, tmp_path, capture):
    weights = np.where(samples[:, 0] > 12, 1.0, 0.0)
    figure = capture(chain_figures, "plot_corner", samples, weights, NAMES)
    # Half a normal distribution: median at 0.674 sigma, 16 % at 0.202, 84 % at 1.41.
    title = figure.axes[0].get_title()
    assert title.startswith("$V$ = $1")
    median = float(title.split("= $")[1].split("_")[0])
    assert median == pytest.approx(12 + 0.674 * 3, abs=0.25)
    assert figure.axes[6].get_xlabel() == "$V$ [km s$^{-1}$]"


def test_corner_leaves_out_what_does_not_vary_and_polynomials_first(samples, capture):
    rng = np.random.default_rng(0)
    many = np.column_stack([rng.normal(size=(500, 4)), np.ones(500), samples[:500]])
    names = [f"legendre--legendre_{i}" for i in range(1, 5)] + ["a--constant", *NAMES]
    figure = capture(chain_figures, "plot_corner", many, None, names, n_max=4)
    bottom = [axes.get_xlabel() for axes in figure.axes[12:16]]
    assert bottom == ["$p_{1}$", "$V$ [km s$^{-1}$]", r"$\sigma$ [km s$^{-1}$]", "$A_V$ [mag]"]


def test_one_lost_walker_does_not_rule_the_corner(samples, capture):
    samples[0, 0] = 1e6
    figure = capture(chain_figures, "plot_corner", samples, None, NAMES)
    assert figure.axes[0].get_xlim()[1] < 40


def test_corner_marks_the_best_fit(samples, capture):
    figure = capture(chain_figures, "plot_corner", samples, None, NAMES)
    marked = capture(chain_figures, "plot_corner", samples, None, NAMES, best_fit=[11.0, 117.0, 0.31])
    assert len(marked.axes[3].lines) == len(figure.axes[3].lines) + 3
    square = marked.axes[3].lines[-1]
    assert (square.get_xdata()[0], square.get_ydata()[0]) == (11.0, 117.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.ones((50, 3)), None, NAMES), "no parameter varies"),
        ((np.ones((50, 2)), None, NAMES), r"expected \(n_samples, 3\)"),
        ((np.ones((50, 3)), np.ones(4), NAMES), r"weights have shape \(4,\)"),
    ],
)
def test_corner_refuses(arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        plot_corner(*arguments, tmp_path / "corner.png")


def test_trace_draws_every_walker_and_the_median_of_what_is_used(samples, capture):
    chain = samples.reshape(100, 30, 3).copy()
    chain[:20] += 1000
    figure = capture(chain_figures, "plot_trace", chain, NAMES, burn_in=20)
    assert len(figure.axes) == 3
    *walkers, median = figure.axes[0].lines
    assert len(walkers) == 30
    assert median.get_ydata()[0] == pytest.approx(12, abs=0.3)


def test_trace_refuses_a_flat_chain(samples, tmp_path):
    with pytest.raises(ValueError, match="n_walkers"):
        plot_trace(samples, NAMES, tmp_path / "trace.png")
