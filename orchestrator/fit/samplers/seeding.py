"""One seed for samplers that ask for none: their generators follow from the seed of the run."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np

__all__ = ["seeded_generators"]


@contextlib.contextmanager
def seeded_generators() -> Iterator[None]:
    """Seed every generator that is made without a seed, in order, from numpy's global state.

    CosmoSIS gives dynesty, nautilus, zeus and its own metropolis no seed, so each run of them would differ. Their
    generators come from ``default_rng()`` or ``PCG64()``, zeus also draws from Python's own; all get a seed here, and
    numpy's global state stays as it is.
    """
    root = np.random.SeedSequence([int(word) for word in np.random.get_state()[1][:8]])  # type: ignore[index]  # noqa: NPY002
    make_generator, make_bits = np.random.default_rng, np.random.PCG64

    def generator(seed: Any = None) -> np.random.Generator:
        return make_generator(root.spawn(1)[0] if seed is None else seed)

    def bits(seed: Any = None) -> np.random.PCG64:
        return make_bits(root.spawn(1)[0] if seed is None else seed)

    before = random.getstate()
    random.seed(int(root.generate_state(1)[0]))
    with mock.patch.object(np.random, "default_rng", generator), mock.patch.object(np.random, "PCG64", bits):
        yield
    random.setstate(before)
