"""The page of modules says what the code declares."""

from __future__ import annotations

from pathlib import Path

from orchestrator.config.documentation import modules_page
from orchestrator.config.module_options import MODULES

PAGE = Path(__file__).resolve().parents[3] / "docs" / "modules.md"


def test_the_page_is_current():
    assert PAGE.read_text(encoding="utf-8") == modules_page()


def test_every_option_of_every_module_is_on_the_page():
    page = modules_page()
    for declaration in MODULES.values():
        section = page.split(f"## {declaration.class_name}\n")[1].split("\n## ")[0]
        for name, field in declaration.options.model_fields.items():
            assert f"| `{field.alias or name}` |" in section
            assert field.description
