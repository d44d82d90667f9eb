"""All figures by one name, for the modules' ``plot_solution``."""

from orchestrator.report.chain_figures import plot_corner, plot_trace
from orchestrator.report.photometry_figure import PhotometryFigureData, plot_photometry
from orchestrator.report.sfh_figure import plot_sfh
from orchestrator.report.spectrum_figure import SpectrumFigureData, plot_spectrum

__all__ = [
    "PhotometryFigureData",
    "SpectrumFigureData",
    "plot_corner",
    "plot_photometry",
    "plot_sfh",
    "plot_spectrum",
    "plot_trace",
]
