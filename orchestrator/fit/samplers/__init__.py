"""Samplers of our own that CosmoSIS loads as plug-ins."""
