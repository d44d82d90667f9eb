"""A module that crashes while it draws loses its own figure and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from quick_stages import full_fit

from orchestrator import MainPipeline, load_run

FUNCTIONS = """
def setup(options):
    return 0

def execute(block, config):
    block["likelihoods", "mine_like"] = -0.5 * block["mine", "x"] ** 2
    return 0
"""
CRASHING = (
    FUNCTIONS
    + """
class module:
    def __init__(self, options, alias=None):
        pass

    def execute(self, block):
        return execute(block, 0)

    def plot_solution(self, block, figname=None):
        import os, signal
        os.kill(os.getpid(), signal.SIGSEGV)
"""
)
VALUES = (
    "[mine]\nx = -1 0.3 1\n[stars.sfh]\nlogtau = -1 0.5 1.7\nism_metallicity_today = 0.01\nalpha_powerlaw = 0.5\n"
    "[kinematics]\nlos_vel = 0\nlos_sigma = 50 150 300\nlos_h3 = 0\nlos_h4 = 0\n"
)


@pytest.fixture
def with_own_module(config, library):
    def stage(text):
        Path("mine.py").write_text(text)
        Path("fit_start.ini").write_text(VALUES)
        together = full_fit("fit", library)
        together["pipeline"] |= {"modules": "Mine FullSpectralFit", "likelihoods": "mine FullSpectralFit"}
        return together | {"Mine": {"file": "mine.py"}}

    return stage


@pytest.mark.parametrize(
    ("text", "reason"),
    [(CRASHING, "was ended by signal 11"), (FUNCTIONS, "defines no class under the name 'module'")],
)
def test_the_other_figures_are_drawn(with_own_module, text, reason, caplog):
    (result,) = MainPipeline([with_own_module(text)]).run(plot_result=True)
    assert list(result.figures) == ["FullSpectralFit"]
    assert result.figures["FullSpectralFit"].is_file()
    assert result.goodness["FullSpectralFit"].n_data == 600
    assert result.derived is not None
    warnings = [r.getMessage() for r in caplog.records if "figure" in r.getMessage()]
    assert len(warnings) == 1, "told once"
    assert "no figure of Mine: " in warnings[0]
    assert reason in warnings[0]
    again = load_run("fit.txt")
    assert again.figures == result.figures
    assert again.goodness == result.goodness
