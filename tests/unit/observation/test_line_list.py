"""A user's list of wavelengths to mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from orchestrator.errors import DataError
from orchestrator.observation.line_list import keep_listed_lines, read_line_list
from orchestrator.physics.wavelength import air_to_vacuum


def write(folder: Path, text: str) -> Path:
    path = folder / "lines.txt"
    path.write_text(text)
    return path


def test_lines_in_air_and_vacuum_and_their_frames(tmp_path):
    path = write(
        tmp_path,
        "name wavelength half_width medium frame\nsky 5577.338 10 air observed\nHbeta 4862.683 20 vacuum rest\n",
    )
    sky, gas = read_line_list(path)
    assert 0.5 * (sky.start + sky.end) == pytest.approx(5578.887, abs=2e-3)
    assert (sky.end - sky.start, sky.frame) == (pytest.approx(20.0), "observed")
    assert (gas.start, gas.end, gas.frame) == (pytest.approx(4842.683), pytest.approx(4882.683), "rest")
    wavelength = np.array([5568.0, 5569.5, 5588.0, 5590.0, 4862.7 * 1.1, 4862.7])
    keep = keep_listed_lines(wavelength, (sky, gas), redshift=0.1)
    assert keep.tolist() == [True, False, False, True, False, True]


def test_intervals_with_commas_are_in_the_rest_frame_by_default(tmp_path):
    (interval,) = read_line_list(write(tmp_path, "start,end,medium\n6860,6950,air\n"))
    assert interval.frame == "rest"
    assert [interval.start, interval.end] == pytest.approx(air_to_vacuum([6860.0, 6950.0]))


def test_units_of_ecsv(tmp_path):
    from astropy.table import Table

    table = Table({"wavelength": [656.4614], "half_width": [1.0], "medium": ["vacuum"]})
    table["wavelength"].unit = table["half_width"].unit = "nm"
    table.write(tmp_path / "lines.ecsv")
    (interval,) = read_line_list(tmp_path / "lines.ecsv")
    assert [interval.start, interval.end] == pytest.approx([6554.614, 6574.614])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wavelength half_width\n5000 5\n", "expected medium"),
        ("wavelength medium\n5000 air\n", "wavelength with half_width"),
        ("wavelenght half_width medium\n5000 5 air\n", "'wavelenght'.*wavelength"),
        ("wavelength half_width medium\n5000 5 vacum\n", "row 1: medium 'vacum' is not known.*vacuum"),
        ("start end medium frame\n5000 5010 air rst\n", "row 1: frame 'rst'.*rest"),
        ("start end medium\n5010 5000 air\n6000 x air\n", "row 1: interval .*row 2: .*expected numbers"),
        ("wavelength half_width start end medium\n1 1 1 1 air\n", "give one"),
        ("start end medium\n", "no line"),
    ],
)
def test_faults_are_named(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_line_list(write(tmp_path, text))


def test_a_missing_file_and_a_binary_one(tmp_path):
    with pytest.raises(DataError, match="mask_lines_file: file .*does not exist"):
        read_line_list(tmp_path / "none.txt")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(DataError, match="not a text file"):
        read_line_list(tmp_path / "binary")
