"""Observed spectra, photometry and filters: records and readers."""
