"""Staged Bayesian fits of galaxy spectra and photometry on CosmoSIS."""
