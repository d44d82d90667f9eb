"""Configuration: options, values, priors and ini files; read, checked (all faults at once) and written."""
