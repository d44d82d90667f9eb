"""Known parameters are recovered through `MainPipeline`: the small version of ``benchmarks/study_recovery.py``.

Truths are drawn from the prior, so (posterior mean - truth) / width has mean 0 and mean square 1 over mocks. With
the numbers here the mean of a pull has a standard error of 1 / sqrt(n); the mean square of n normal numbers is within
the stated range with a probability of 99.9 %. The full study has 100 mocks of each module (docs/validation.md).
"""

from __future__ import annotations

import numpy as np
import pytest
from recovery import CASES, recovery
from scipy import stats

NUMBERS = {"GaussianTarget": 12, "SFHPhotometry": 12, "FullSpectralFit": 10, "EquivalentWidthFit": 10}
MOST_STANDARD_ERRORS = 3.7
"""Up to six parameters of four modules are looked at."""


@pytest.mark.library("MIUSCAT", "PopStar")
@pytest.mark.parametrize("name", list(NUMBERS))
def test_truth_is_recovered(name, tmp_path):
    n = NUMBERS[name]
    found = recovery(CASES[name], range(1000, 1000 + n), tmp_path)
    assert found.n_flagged <= n // 5
    mean_square = (found.pulls**2).mean(axis=0)
    low, high = stats.chi2(n).ppf([0.0005, 0.9995]) / n
    for parameter, row in found.table().items():
        assert abs(row["standard_errors"]) < MOST_STANDARD_ERRORS, (parameter, row)
    assert np.all((mean_square > low) & (mean_square < high)), dict(zip(found.names, mean_square, strict=True))
