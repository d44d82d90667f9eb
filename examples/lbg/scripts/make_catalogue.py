"""Runs before the stages: writes the catalogue that the run names, if it is not there."""

import csv
import os
import random
from pathlib import Path

catalogue = Path(os.environ["ORCHESTRATOR_OUTPUT_DIR"]).parent / "catalogue.csv"
if not catalogue.exists():
    chance = random.Random(1)
    with catalogue.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["name", "magnitude", "x", "y"])
        for number in range(12):
            values = (chance.uniform(*ends) for ends in ((23, 26), (-1, 1), (-1, 1)))
            rows.writerow([f"galaxy_{number}", *(f"{value:.3f}" for value in values)])
