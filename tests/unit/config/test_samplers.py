"""The samplers of the installed CosmoSIS, found in its source."""

from __future__ import annotations

import subprocess
import sys

from cosmosis.samplers.sampler import Sampler

from orchestrator.config.samplers import known_samplers, missing_requirement, samplers_in_file
from orchestrator.config.sections import OUTPUT_KEYS, PIPELINE_KEYS, RUNTIME_KEYS


def test_the_names_are_those_that_cosmosis_registers():
    import cosmosis.samplers  # noqa: F401

    # Other tests of the same process may have registered the plug-ins of this package.
    stock = {name for name, sampler in Sampler.registry.items() if sampler.__module__.startswith("cosmosis.")}
    registered = stock - {"", "parallel"}
    assert {"emcee", "maxlike", "test", "metropolis", "latinhypercube", "pocomc"} <= set(known_samplers())
    assert registered <= set(known_samplers())


def test_options_and_types():
    emcee = known_samplers()["emcee"].options
    assert emcee["walkers"] == "int"
    assert emcee["random_start"] == "bool"
    assert emcee["start_points"] == "str"
    assert emcee["start_method"] == "str"  # read by all samplers
    assert known_samplers()["maxlike"].options["tolerance"] == "float"
    assert known_samplers()["metropolis"].options["rconverge"] == "float"


def test_requirements_that_are_not_installed():
    assert missing_requirement("emcee") is None
    assert missing_requirement("maxlike") is None
    fault = missing_requirement("kombine")
    assert fault is None or "pip install kombine" in fault


def test_a_plug_in_file(tmp_path):
    path = tmp_path / "mine.py"
    classes = ("MySampler(Base)", "NoSampler", "Other(Base)")
    path.write_text("".join(f"class {name}:\n    pass\n" for name in classes))
    assert samplers_in_file(path) == {"my"}


def test_known_options_of_cosmosis_sections_are_really_read_by_it():
    import cosmosis

    source = "".join(
        path.read_text()
        for path in sorted(__import__("pathlib").Path(cosmosis.__file__).parent.rglob("*.py"))
        if "samplers" not in path.parts or path.name == "sampler.py"
    )
    ours = {"seed", "timeout", "stock_samplers", "figurename"}
    for name in (RUNTIME_KEYS | OUTPUT_KEYS | PIPELINE_KEYS) - ours:
        assert f'"{name}"' in source or f"'{name}'" in source, name


def test_checking_does_not_import_heavy_packages():
    code = (
        "import sys, orchestrator.config.check as c, orchestrator.config.samplers as s; s.known_samplers();"
        "heavy = {'cosmosis', 'astropy', 'matplotlib', 'scipy', 'numba', 'h5py', 'speclite'};"
        "bad = heavy & set(sys.modules);"
        "sys.exit(f'imported {bad}' if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
