"""A stage whose posterior is known, quick to sample."""

from __future__ import annotations

from typing import Any


def gaussian_stage(name: str = "target", **sections: Any) -> dict[str, Any]:
    """Return a configuration; `sections` replace or add to its own."""
    return {
        "runtime": {"sampler": "multistart ensemble"},
        "ensemble": {"walkers": 8, "nsteps": 25, "max_samples": 200, "thin": 1},
        "output": {"filename": name},
        "pipeline": {"modules": "GaussianTarget"},
        "GaussianTarget": {"mean": [1.0, -2.0], "sigma": [0.5, 2.0]},
        "values": {"gaussian": {"x_1": "-5 0 5", "x_2": "-12 0 12"}},
        **sections,
    }
