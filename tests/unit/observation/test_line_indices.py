"""Definitions of indices, their names, the Lick/IDS resolution, gas lines and tables of measured indices."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.errors import DataError
from orchestrator.observation.line_indices import (
    GAS_GROUPS,
    canonical_name,
    gas_lines,
    gas_lines_near,
    lick_fwhm,
    line_indices,
    read_indices,
)
from orchestrator.physics.wavelength import vacuum_to_air


def test_the_25_lick_indices_and_two_breaks():
    units = [index.unit for index in line_indices().values()]
    assert (units.count("Angstrom"), units.count("mag"), units.count("ratio")) == (19, 6, 2)


def test_definitions_are_in_vacuum_and_widths_as_defined():
    hbeta = line_indices()["Hbeta"]
    np.testing.assert_allclose(vacuum_to_air(hbeta.feature), (4847.875, 4876.625), atol=1e-6)
    assert hbeta.width == 28.75
    assert 1.3 < hbeta.feature[0] - 4847.875 < 1.4
    for index in line_indices().values():
        for low, high in index.bands:
            assert 2 < high - low < 210
        assert index.blue[1] < index.red[0]
        if index.feature is not None:
            # Bands of the feature reach at most 4 A into their side bands.
            assert index.blue[1] - 4 < index.feature[0] < index.feature[1] < index.red[0] + 4


@pytest.mark.parametrize(
    ("given", "known"),
    [("hbeta", "Hbeta"), ("H_beta", "Hbeta"), ("Mg_b", "Mgb"), ("Fe4668", "C4668"), ("Lick_Fe5270", "Fe5270"),
     ("Hdelta_A", "HdeltaA"), ("lick_hb", "Hbeta"), ("D4000n", "Dn4000")],
)  # fmt: skip
def test_spellings(given, known):
    assert canonical_name(given) == known


def test_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(DataError, match="unknown index 'Fe5271'; did you mean 'Fe5270'"):
        canonical_name("Fe5271")


def test_lick_resolution():
    np.testing.assert_allclose(lick_fwhm([3000, 5150, 9000]), [11.5, 8.4, 9.8])
    assert 9.2 < lick_fwhm(4300) < 11.5


def test_gas_lines_have_groups_and_reach_indices():
    assert {line.group for line in gas_lines()} == set(GAS_GROUPS)
    ratios = {line.name: line.ratio for line in gas_lines()}
    assert ratios["Hbeta"] == 1.0
    assert ratios["Hgamma"] == 0.468
    assert gas_lines_near(["Hbeta"], "balmer") == ("Hbeta",)
    assert gas_lines_near(["Fe5015"], "oiii") == ("[OIII]5008", "[OIII]4960")
    assert gas_lines_near(["Mgb"], "ni") == ("[NI]5199", "[NI]5202")
    assert gas_lines_near(["Fe5270", "Fe5335"], "balmer") == ()


def test_table_of_indices(tmp_path):
    path = tmp_path / "indices.txt"
    path.write_text("# of a galaxy\nname value error\nH_beta 1.7 0.1\n\nMgb, 3.5, 0.2\nDn4000 1.8 0.01\n")
    table = read_indices(path)
    assert table.names == ("Hbeta", "Mgb", "Dn4000")
    np.testing.assert_allclose(table.values, [1.7, 3.5, 1.8])
    np.testing.assert_allclose(table.errors, [0.1, 0.2, 0.01])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Hbeta 1.7", "line 1 .* expected three columns"),
        ("Hbeta 1.7 0.1\nhbeta 1.8 0.1", "line 2 .* gives Hbeta a second time"),
        ("Hbeta 1.7 0", "positive error"),
        ("Hbeta nan 0.1", "finite value"),
        ("Hbeta x 0.1", "expected two numbers"),
        ("Hbta 1.7 0.1", "did you mean 'Hbeta'"),
        ("# nothing", "holds no index"),
    ],
)
def test_rows_that_cannot_be_used(tmp_path, text, message):
    path = tmp_path / "indices.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_indices(path)


def test_missing_table(tmp_path):
    with pytest.raises(DataError, match="there is no file"):
        read_indices(tmp_path / "none.txt")
