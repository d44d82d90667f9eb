"""Fitters that a test has started end with it."""

from __future__ import annotations

import pytest

from orchestrator.production.work.chunk import stop_fitters


@pytest.fixture(autouse=True)
def _no_fitter_stays():
    yield
    stop_fitters()
