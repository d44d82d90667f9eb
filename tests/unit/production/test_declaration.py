"""What a signature declares: options, inputs, columns, and every fault at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from orchestrator.errors import ConfigError
from orchestrator.production.columns import Column as ResultColumn
from orchestrator.production.declaration import declaration_of, option_faults, validated_options
from orchestrator.production.stage_types import (
    Column,
    Flag,
    Flagged,
    Help,
    InputFile,
    Output,
    Result,
    Table,
    Target,
    Upstream,
)


@dataclass(frozen=True)
class Colours:
    g_r: Annotated[float, Column("mag", "colour g - r")]
    n_bands: int
    note: str | None = None
    blended: Annotated[bool, Flag("a neighbour contributes")] = False


def colours(
    target: Target,
    *,
    aperture: Annotated[float, Help("radius in arcsec")] = 3.0,
    band: Literal["g", "r"],
    image: InputFile,
    history: Upstream,
    mass: Annotated[float, Result()],
    cutout: Annotated[Path, Output("cutout.fits", "the pixels")],
) -> Colours | Flagged[Colours]:
    """Measure colours.

    More about them.
    """
    raise NotImplementedError


def summary(*, colours: Table, limit: int = 3) -> None:
    """Add up."""


def old(target: Mapping[str, Any], options: Mapping[str, Any], upstream: Mapping[str, Any]) -> dict[str, Any]:
    return {}


def wrong(target: Target, other: int, *, unknown, aperture: float = 1.0) -> None:  # type: ignore[no-untyped-def]
    """Has two faults."""


def test_a_signature_says_everything():
    found = declaration_of(colours)
    assert found.description == "Measure colours."
    assert {each.name: each.use for each in found.parameters} == {
        "aperture": "option", "band": "option", "image": "file", "history": "row", "mass": "column",
        "cutout": "output",
    }  # fmt: skip
    assert found.columns == (
        ResultColumn("g_r", "float", "mag", "colour g - r"),
        ResultColumn("n_bands", "int"),
        ResultColumn("note", "text"),
        ResultColumn("blended", "bool", "", "a neighbour contributes", "Flags"),
    )
    assert found.of_use("output")[0].default == "cutout.fits"
    assert found.takes_target


def test_a_stage_over_all_takes_tables_and_no_target():
    found = declaration_of(summary)
    assert [each.use for each in found.parameters] == ["table", "option"]
    assert not found.takes_target


def test_a_function_of_three_arguments_declares_nothing():
    assert declaration_of(old).is_plain


def test_all_faults_of_a_signature_come_at_once():
    with pytest.raises(ConfigError) as caught:
        declaration_of(wrong)
    assert [fault.partition(": ")[2] for fault in caught.value.faults] == [
        "only the target comes without its name; put '*' before other",
        "'unknown' has no annotation, so that its type is not known",
    ]


def test_all_faults_of_options_come_at_once():
    declared = declaration_of(colours)
    faults = option_faults(declared, {"apertur": 3, "band": "u", "aperture": True, "image": "x"}, "stage 'colours'")
    assert faults[0] == "stage 'colours': unknown option 'apertur'; did you mean 'aperture'?"
    assert "band = 'u': input should be 'g' or 'r'" in faults[1]
    assert faults[2] == "stage 'colours': aperture = True: expected float, found a yes/no value"
    assert "unknown option 'image' (it is an input" in faults[3]
    assert option_faults(declared, {}, "s") == ["s: option 'band' is missing (Literal['g', 'r'])"]


def test_a_placeholder_waits_for_its_target():
    declared = declaration_of(colours)
    assert option_faults(declared, {"aperture": "{radius}", "band": "g"}, "s") == []
    assert validated_options(declared, {"aperture": "2.5", "band": "g"}, "s") == {"aperture": 2.5, "band": "g"}
