"""Figures of a posterior: one-dimensional posteriors with their priors, and what the fit predicts for its data."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from orchestrator.fit.chain import Chain
from orchestrator.fit.checks import predictions
from orchestrator.fit.moments import used_rows
from orchestrator.fit.prior_density import prior_curves
from orchestrator.fit.stage_result import StageResult
from orchestrator.fit.summary import ResultsSummary
from orchestrator.forward_model.predicted_data import PredictedData
from orchestrator.report.chain_figures import plot_corner, plot_trace
from orchestrator.report.labels import label_for, unit_in_mathtext
from orchestrator.report.style import (
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    PAGE_WIDTH,
    RED,
    new_figure,
    paper_style,
    save_figure,
)
from orchestrator.report.text_placement import header

__all__ = ["draw_posterior", "plot_posteriors", "plot_predictions"]

logger = logging.getLogger(__name__)

Array = NDArray[np.float64]
_MICRON = 1e4
_MICROJANSKY = 1e-29


def draw_posterior(
    result: StageResult, *, found: Mapping[str, list[PredictedData]] | None = None
) -> dict[str, Path]:
    """Draw all figures of the posterior of a finished stage, beside its results.

    Parameters
    ----------
    result : StageResult
    found : mapping of str to list of PredictedData, optional
        From `orchestrator.fit.checks.predictions`, if they are known.

    Returns
    -------
    dict of str to Path
        ``corner``, ``posteriors``, ``trace`` (of Markov chains) and ``predictions of MODULE``; empty where nothing
        was sampled.
    """
    chain, summary, paths = result.chain, result.summary, result.stage.paths
    if chain is None or summary is None or not chain.is_sampled:
        return {}
    used = used_rows(chain, summary.convergence)
    weights = None if chain.is_markov_chain else chain.weights[used]
    best = np.array([p.best_fit for p in summary.parameters])
    made = {
        "corner": plot_corner(
            chain.samples[used], weights, chain.parameters, paths.posterior_figure("corner"), best, title=result.name
        ),
        "posteriors": plot_posteriors(chain, summary, paths.posterior_figure("posteriors"), title=result.name),
    }
    if chain.is_markov_chain:
        n_walkers = max(1, chain.n_walkers)
        steps = chain.samples[: chain.n_rows // n_walkers * n_walkers].reshape(-1, n_walkers, len(best))
        trace = paths.posterior_figure("trace")
        made["trace"] = plot_trace(
            steps, chain.parameters, trace, burn_in=summary.convergence.burn_in, title=result.name
        )
    for name, points in (predictions(chain, summary) if found is None else found).items():
        path = paths.posterior_figure(f"{name}_predictions")
        made[f"predictions of {name}"] = plot_predictions(points, path, title=f"{result.name}: {name}")
    return made


def plot_posteriors(chain: Chain, summary: ResultsSummary, path: str | Path, *, title: str = "") -> Path:
    """Draw the posterior of each parameter with its prior, median, 68 % interval and best fit.

    Parameters
    ----------
    chain : Chain
    summary : ResultsSummary
        Of that chain.
    path : str or Path
        File to write.
    title : str
        Name of the object.

    Returns
    -------
    Path
        The file, written whole.
    """
    used = used_rows(chain, summary.convergence)
    curves = prior_curves(chain)
    n = len(chain.parameters)
    n_columns = min(n, 3)
    n_rows = -(-n // n_columns)
    with paper_style():
        figure = new_figure(PAGE_WIDTH if n_columns > 1 else 3.4, 0.5 + 1.75 * n_rows, row_gap=None)
        panels = figure.subplots(n_rows, n_columns, squeeze=False)
        for index, axes in enumerate(panels.ravel()):
            if index >= n:
                axes.set_axis_off()
                continue
            weights = chain.weights[used]
            _draw_posterior(axes, chain.samples[used, index], weights, summary, index)
            _draw_prior(axes, curves.get(chain.parameters[index]))
            axes.set_xlabel(label_for(*chain.parameters[index]))
            axes.set_yticks([])
            axes.set_ylim(bottom=0)
        handles, labels = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="upper right", ncols=4, fontsize=8, frameon=False)
        figure.subplots_adjust(
            left=0.03, right=0.98, bottom=0.5 / (0.5 + 1.75 * n_rows), top=1 - 0.34 / (0.5 + 1.75 * n_rows),
            hspace=0.55, wspace=0.1,
        )  # fmt: skip
        if title:
            figure.suptitle(title, x=0.03, y=0.995, ha="left", va="top", fontsize=10, parse_math=False)
        return save_figure(figure, path)


def _draw_posterior(axes: Axes, samples: Array, weights: Array, summary: ResultsSummary, index: int) -> None:
    p = summary.parameters[index]
    low, high = np.quantile(samples, [0.002, 0.998]) if len(samples) else (0.0, 1.0)
    margin = 0.15 * (high - low) or 0.5
    limits = (max(low - margin, p.lower_limit), min(high + margin, p.upper_limit))
    limits = (limits[0], limits[1]) if limits[1] > limits[0] else (low - 0.5, high + 0.5)
    axes.hist(
        samples, bins=36, range=limits, weights=weights, density=True, histtype="stepfilled", color=BLUE, alpha=0.35,
        linewidth=0, label="Posterior",
    )  # fmt: skip
    axes.axvspan(p.lower_68, p.upper_68, color=BLUE, alpha=0.12, linewidth=0, zorder=0)
    axes.axvline(p.median, color=BLUE, linewidth=1.2, label="Median, 68 %")
    axes.axvline(p.best_fit, color=RED, linewidth=0.9, linestyle="--", label="Best fit")
    axes.set_xlim(*limits)


def _draw_prior(axes: Axes, curve: tuple[Array, Array] | None) -> None:
    if curve is not None:
        axes.plot(*curve, color=GREY, linewidth=1.1, label="Prior")


def plot_predictions(points: Sequence[PredictedData], path: str | Path, *, title: str = "") -> Path:
    """Draw data, the median model with its 68 % and 95 % bands, and the residuals with those of new data.

    Parameters
    ----------
    points : sequence of PredictedData
        The best fit, then samples of the posterior.
    path : str or Path
        File to write.
    title : str
        Name of the object.

    Returns
    -------
    Path
        The file, written whole.
    """
    best, *samples = points
    models = np.array([point.model for point in samples or [best]])
    noise = np.median([point.noise for point in samples or [best]], axis=0)
    bands = np.quantile(models, [0.025, 0.16, 0.5, 0.84, 0.975], axis=0)
    with paper_style():
        figure = new_figure(PAGE_WIDTH, 4.2)
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2.2, 1.0))
        if best.names:
            _draw_bands_of_photometry(upper, lower, best, bands, noise)
        else:
            _draw_bands_of_spectrum(upper, lower, best, bands, noise)
        lower.axhline(0.0, color=GREY, linewidth=0.6)
        lower.set_ylabel("(data - median)\n/ noise", fontsize=8.5)
        for axes in (upper, lower):
            axes.tick_params(which="both", top=True, right=True)
        upper.legend(loc="best", fontsize=8)
        header(upper, title, [f"{len(samples)} samples"])
        figure.align_ylabels([upper, lower])
        return save_figure(figure, path)


def _draw_bands_of_spectrum(upper: Axes, lower: Axes, best: PredictedData, bands: Array, noise: Array) -> None:
    largest = float(np.nanmax(np.abs(bands[2]))) or 1.0
    power = int(np.floor(np.log10(largest)))
    scale = 10.0**-power
    pieces = _pieces(best.wavelength)
    for number, piece in enumerate(pieces):
        x, first = best.wavelength[piece], number == 0
        upper.plot(x, scale * best.flux[piece], color=GREY, linewidth=0.4, alpha=0.8, label="Data" if first else None)
        _draw_bands(upper, x, scale * bands[:, piece], first)
        residual = bands[:, piece] - bands[2, piece]
        lower.plot(x, ((best.flux - bands[2]) / noise)[piece], color=GREY, linewidth=0.4)
        low = np.sqrt(residual[0] ** 2 / noise[piece] ** 2 + 1.96**2)
        high = np.sqrt(residual[4] ** 2 / noise[piece] ** 2 + 1.96**2)
        for edge, text in ((-low, None), (high, "95 % of new data")):
            lower.plot(x, edge, color=ORANGE, linewidth=1.1, label=text if first else None, zorder=3)
    upper.set_ylabel(f"Flux [{unit_in_mathtext(best.unit, power)}]")
    lower.set_xlabel(r"Observed wavelength [$\mathrm{\AA}$]")
    lower.set_xlim(best.wavelength[0], best.wavelength[-1])
    # cosmic rays do not rule the axes
    low, high = scale * np.quantile(best.flux, [0.002, 0.998])
    upper.set_ylim(min(low, scale * bands[0].min()) - 0.1 * (high - low), high + 0.25 * (high - low))
    lower.set_ylim(-5.5, 5.5)
    lower.legend(loc="lower right", fontsize=7, frameon=True, facecolor="white", edgecolor="none", framealpha=0.9)


def _draw_bands(axes: Axes, x: Array, bands: Array, first: bool) -> None:
    labels = ("Model, 95 %", "Model, 68 %", "Median model") if first else (None, None, None)
    axes.fill_between(x, bands[0], bands[4], color=BLUE, alpha=0.4, linewidth=0.3, label=labels[0], zorder=3)
    axes.fill_between(x, bands[1], bands[3], color=BLUE, alpha=0.8, linewidth=0.3, label=labels[1], zorder=4)
    axes.plot(x, bands[2], color=RED, linewidth=0.6, label=labels[2], zorder=5)


def _pieces(wavelength: Array) -> list[NDArray[np.int64]]:
    """Split where pixels were left out, so that no line crosses a mask."""
    steps = np.diff(wavelength)
    gaps = np.flatnonzero(steps > 2.5 * np.median(steps)) + 1 if len(steps) else np.empty(0, dtype=int)
    return [np.asarray(piece) for piece in np.split(np.arange(len(wavelength)), gaps)]


def _draw_bands_of_photometry(
    upper: Axes, lower: Axes, best: PredictedData, bands: Array, noise: Array
) -> None:
    x, measured = best.wavelength / _MICRON, best.measured
    flux, shown = best.flux / _MICROJANSKY, bands / _MICROJANSKY
    width = 0.025 * x
    for index in range(len(x)):
        first = index == 0
        span = (x[index] - width[index], x[index] + width[index])
        for low, high, alpha, text in ((0, 4, 0.25, "Model, 95 %"), (1, 3, 0.5, "Model, 68 %")):
            upper.fill_between(
                span, shown[low, index], shown[high, index], color=BLUE, alpha=alpha, linewidth=0,
                label=text if first else None,
            )  # fmt: skip
        upper.plot(
            span, [shown[2, index]] * 2, color=RED, linewidth=1.2, label="Median model" if first else None
        )
        residual = (bands[:, index] - bands[2, index]) / noise[index]
        low, high = np.sqrt(residual[0] ** 2 + 1.96**2), np.sqrt(residual[4] ** 2 + 1.96**2)
        lower.fill_between(
            span, -low, high, color=ORANGE, alpha=0.25, linewidth=0, label="95 % of new data" if first else None
        )
    error = noise / _MICROJANSKY
    upper.errorbar(
        x[measured], flux[measured], error[measured], fmt="o", color=BLACK, markersize=3.5, label="Data", zorder=5
    )
    if best.limit is not None and not measured.all():
        marks = {1: (10, "Upper limit"), -1: (11, "Lower limit")}
        for sign, (marker, text) in marks.items():
            which = best.limit == sign
            if which.any():
                upper.plot(x[which], flux[which], linestyle="", marker=marker, color=BLACK, label=text)
    lower.plot(
        x[measured], ((best.flux - bands[2]) / noise)[measured], linestyle="", marker="o", color=BLACK, markersize=3.5
    )
    upper.set_xscale("log")
    lower.margins(y=0.15)
    axes: list[Axis] = [lower.xaxis]
    if (flux > 0).all() and (shown[0] > 0).all():
        upper.set_yscale("log")
        axes.append(upper.yaxis)
    for axis in axes:
        axis.set_major_locator(LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 5.0, 7.0)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
    upper.set_ylabel(f"Flux [{unit_in_mathtext('uJy')}]")
    lower.set_xlabel(r"Observed wavelength [$\mathrm{\mu}$m]")
    lower.legend(loc="best", fontsize=7)
