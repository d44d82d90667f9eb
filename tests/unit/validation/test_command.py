"""`orchestrator validate` as a user runs it."""

from __future__ import annotations

import json

import pytest
from gaussian_stages import gaussian_stage
from typer.testing import CliRunner

from orchestrator.cli.main import app


def invoke(*words):
    return CliRunner().invoke(app, ["validate", *map(str, words)])


@pytest.mark.timeout(120)
def test_verdict_on_the_terminal_and_in_a_folder_beside_the_file(tmp_path):
    (tmp_path / "fit.json").write_text(json.dumps([gaussian_stage()]))
    found = invoke(tmp_path / "fit.json", "--n", 2, "-j", 1, "--no-figures")
    assert found.exit_code == 0, found.output
    assert "gaussian--x_1" in found.output
    assert "2 mocks cannot show that they are right" in found.output
    folder = tmp_path / "fit_validation"
    assert json.loads((folder / "verdict.json").read_text())["mocks"] == 2
    assert not list(folder.glob("*.png"))


@pytest.mark.timeout(120)
def test_posteriors_that_are_wrong_end_with_exit_code_1(tmp_path):
    """The data scatter ten times as far as the fit believes."""
    sure = gaussian_stage(GaussianTarget={"mean": [1.0, -2.0], "sigma": [0.05, 0.2]})
    (tmp_path / "fit.json").write_text(json.dumps({"pipeline": [sure], "truth": [gaussian_stage()]}))
    found = invoke(tmp_path / "fit.json", "--n", 12, "-j", 1, "--no-figures")
    assert found.exit_code == 1
    assert "Do not trust these posteriors" in found.output
    assert "another pipeline (`truth`)" in found.output


@pytest.mark.parametrize(
    ("text", "message"),
    [("pipelines: []", "did you mean 'pipeline'"), ("[{runtime: {sampler: emce}}]", "section 'output'|emce")],
)
def test_a_users_mistake_is_a_message_and_exit_code_2(text, message, tmp_path):
    (tmp_path / "fit.yaml").write_text(text)
    found = invoke(tmp_path / "fit.yaml", "--n", 2)
    assert found.exit_code == 2
    import re

    assert re.search(message, found.output)
    assert "Traceback" not in found.output


def test_a_module_whose_data_cannot_be_simulated_is_refused_before_any_process_starts(tmp_path):
    (tmp_path / "mine.py").write_text("def setup(options): pass\ndef execute(block, when): return 0\n")
    stage = gaussian_stage(
        pipeline={"modules": "GaussianTarget Mine"}, Mine={"file": str(tmp_path / "mine.py")}
    )
    (tmp_path / "fit.json").write_text(json.dumps([stage]))
    found = invoke(tmp_path / "fit.json", "--n", 2)
    assert found.exit_code == 2
    assert "[Mine] is a module of your own" in found.output
    assert not (tmp_path / "fit_validation").exists()
