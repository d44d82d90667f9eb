"""Whether the posteriors of a pipeline can be trusted: simulation-based calibration through the real stages."""
