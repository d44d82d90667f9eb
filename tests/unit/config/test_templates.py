"""The shipped templates are those that the declarations give now."""

from __future__ import annotations

from orchestrator.config.module_options import MODULES
from orchestrator.config.templates import render_templates, write_templates
from orchestrator.config.values import read_values
from orchestrator.paths import values_template_file
from orchestrator.physics.sfh import SFH_MODELS


def test_shipped_templates_are_current():
    templates = render_templates()
    folder = values_template_file("KinDust").parent
    assert {path.stem for path in folder.glob("*.ini")} == set(templates)
    for name, text in templates.items():
        message = f"{name}: run orchestrator.config.templates.write_templates on values_templates"
        assert values_template_file(name).read_text() == text, message


def test_one_template_per_module_and_history(tmp_path):
    paths = write_templates(tmp_path)
    without_history = [name for name, m in MODULES.items() if "sfh_model" not in m.options.model_fields]
    assert without_history == ["KinDust", "GaussianTarget"]
    assert len(paths) == len(without_history) + (len(MODULES) - len(without_history)) * len(SFH_MODELS)
    for path in paths:
        assert read_values(path).varied
