"""Run CosmoSIS and read what it found."""
