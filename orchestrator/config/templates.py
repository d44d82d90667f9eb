"""The values templates: one file per module and star-formation history, made from the declarations."""

from __future__ import annotations

from pathlib import Path

from orchestrator.config.module_options import MODULES, parse_options
from orchestrator.config.text_files import write_atomically
from orchestrator.config.values import default_values, render_values

__all__ = ["render_templates", "write_templates"]

_EXAMPLE_REDSHIFTS = {"z_min": 0.0, "z_max": 0.5}


def render_templates() -> dict[str, str]:
    """Return the text of every template by the name of its file, without ``.ini``."""
    from orchestrator.physics.sfh import SFH_MODELS

    templates: dict[str, str] = {}
    for class_name, declaration in MODULES.items():
        if "sfh_model" not in declaration.options.model_fields:
            templates[class_name] = _render(class_name, None)
            continue
        for sfh_model in SFH_MODELS:
            templates[f"{class_name}_{sfh_model}"] = _render(class_name, sfh_model)
    return templates


def _render(class_name: str, sfh_model: str | None) -> str:
    from orchestrator.physics.sfh import SFH_MODELS

    options: dict[str, object] = {"SSPModel": "PopStar", "ExtinctionLaw": "ccm89"}
    if "input_photometry" in MODULES[class_name].options.model_fields:
        options["inputPhotometry"] = "photometry.txt"
    else:
        options["inputSpectrum"] = "spectrum.txt"
    if sfh_model is not None:
        options["SFHModel"] = sfh_model
        options["SFHArgs"] = SFH_MODELS[sfh_model].example  # a stage's own template has the stage's
    declaration = MODULES[class_name]
    known = declaration.options.spellings()
    if "z_max" in known:
        options |= _EXAMPLE_REDSHIFTS
    options = {name: value for name, value in options.items() if name.lower() in known}
    declared = declaration.declared_parameters(parse_options(class_name, options))
    title = f"{class_name} with {sfh_model}" if sfh_model else class_name
    where = ", up to redshift 0.5" if "z_max" in known else ", at redshift 0" if "redshift" in known else ""
    dust = ", with an ExtinctionLaw" if "ExtinctionLaw" in options else ""
    heading = (
        f"Values of {title}{dust}{where}.\n"
        "An entry is `value` (fixed), `lower upper` or `lower start upper`."
    )
    return render_values(default_values(declared), declared, heading)


def write_templates(folder: Path) -> tuple[Path, ...]:
    """Write all templates into a folder.

    Parameters
    ----------
    folder : Path
        Existing or new folder.

    Returns
    -------
    tuple of Path
        The files, in the order of the modules.
    """
    paths = []
    for name, text in render_templates().items():
        path = folder / f"{name}.ini"
        write_atomically(path, text)
        paths.append(path)
    return tuple(paths)
