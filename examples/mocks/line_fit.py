"""A module for CosmoSIS: the likelihood of a Gaussian line of known width in a spectrum."""

import numpy as np


def setup(options):
    path, width = options["line_fit", "spectrum"], options["line_fit", "width"]
    pixel, flux, error = np.loadtxt(path, unpack=True)
    return np.exp(-0.5 * (pixel / width) ** 2), flux, error


def execute(block, data):
    profile, flux, error = data
    residual = (flux - block["line", "amplitude"] * profile) / error
    block["likelihoods", "line_like"] = -0.5 * np.sum(residual**2) - np.sum(np.log(error))
    return 0
