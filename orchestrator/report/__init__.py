"""Figures and tables of results. Nothing here changes a number."""
