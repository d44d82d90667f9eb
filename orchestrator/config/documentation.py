"""The page ``docs/modules.md``, made from the declarations of modules, options and parameters."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from orchestrator.config.law_table import law_table
from orchestrator.config.module_options import MODULES, ModuleDeclaration
from orchestrator.config.noise_options import NOISE_MODELS, NoiseOptions, noise_parameters
from orchestrator.physics.parameter import Parameter
from orchestrator.physics.sfh import SFH_MODELS, build_sfh
from orchestrator.physics.sfh_latent import LATENT_PRIORS, with_prior

__all__ = ["modules_page", "write_modules_page"]

_EXAMPLE: dict[str, Any] = {
    "inputSpectrum": "spectrum.dat",
    "inputPhotometry": "photometry.txt",
    "SSPModel": "PopStar",
    "ExtinctionLaw": "ccm89",
    "NoiseModel": "MultiplicativeNoiseModel",
    "legendre_deg": 1,
    "z_min": 0.0,
    "z_max": 0.5,
}
_HEADING = """# Modules, options and parameters

Made from the declarations in the code by `python -m orchestrator.config.documentation docs/modules.md`; a test keeps
it current. Names of options are read without regard to capitals. A section is named `Class` or `Class_suffix`.
"""


def modules_page() -> str:
    """Return the page as Markdown."""
    parts = [_HEADING]
    for declaration in MODULES.values():
        parts.append(_module(declaration))
    parts.append("## Star-formation histories\n\nSection `stars.sfh`; ranges at redshift 0.\n")
    for name, model in SFH_MODELS.items():
        numbers = " ".join(f"{number:g}" for number in model.example)
        example = f" (with `SFHArgs = {numbers}`)" if numbers else ""
        meaning = inspect.cleandoc(model.__doc__ or "").split("\n\nAttributes", maxsplit=1)[0]
        table = _parameter_table(build_sfh(name, model.example).parameters)
        parts.append(f"### {name}{example}\n\n{meaning}\n\n{table}")
    parts.append(_latent_histories())
    parts.append(_noise_models())
    parts.append(f"## Attenuation laws\n\n{law_table()}")
    return "\n".join(parts)


def _latent_histories() -> str:
    """Return the latent parameters of a piece-wise history."""
    parts = [
        "## Piece-wise histories in latent parameters\n\n`sfh_prior` replaces the parameters of a piece-wise "
        "history; here for `FixedTimeSFH` with `SFHArgs = 0.1 1 5`.\n"
    ]
    for prior in LATENT_PRIORS:
        history = with_prior(build_sfh("FixedTimeSFH", (0.1, 1.0, 5.0)), prior)
        parts.append(f"### sfh_prior = {prior}\n\n{_parameter_table(history.parameters)}")
    return "\n".join(parts)


def _noise_models() -> str:
    """Return the parameters of every noise model."""
    parts = ["## Noise models\n\nSection `noise`, or `noise_SUFFIX` in a stage of several noisy data sets.\n"]
    for chosen in NOISE_MODELS:
        options = NoiseOptions.model_validate({"NoiseModel": chosen, "noise_fractional": True})
        parts.append(f"### {chosen}, with `noise_fractional = T`\n\n{_parameter_table(noise_parameters(options))}")
    return "\n".join(parts)


def _module(declaration: ModuleDeclaration) -> str:
    rows = ["| option | default | meaning |", "|---|---|---|"]
    for name, field in declaration.options.model_fields.items():
        default = "required" if field.is_required() else _default(field.get_default(call_default_factory=False))
        rows.append(f"| `{field.alias or name}` | {default} | {field.description} |")
    given = {key: value for key, value in _EXAMPLE.items() if _accepts(declaration, key)}
    if _accepts(declaration, "SFHModel"):
        given["SFHModel"] = "ExponentialSFH"
    options = declaration.options.model_validate(given)
    return (
        f"## {declaration.class_name}\n\n{(declaration.options.__doc__ or '').strip()}\n\n"
        + "\n".join(rows)
        + f"\n\nParameters (here with {_choices(given)}):\n\n"
        + _parameter_table(declaration.declared_parameters(options))
    )


def _accepts(declaration: ModuleDeclaration, option: str) -> bool:
    return option.lower() in declaration.options.spellings()


def _choices(given: dict[str, Any]) -> str:
    shown = ("SFHModel", "ExtinctionLaw", "NoiseModel", "legendre_deg")
    return ", ".join(f"`{key} = {given[key]}`" for key in shown if key in given)


def _default(value: Any) -> str:
    if value is None or value == ():
        return "none"
    return f"`{'T' if value is True else 'F' if value is False else value}`"


def _parameter_table(parameters: tuple[Parameter, ...]) -> str:
    rows = ["| section | name | from | start | to | prior | unit | meaning |", "|---|---|---|---|---|---|---|---|"]
    for p in parameters:
        rows.append(
            f"| `{p.section}` | `{p.name}` | {p.lower:.4g} | {p.start:.4g} | {p.upper:.4g} "
            f"| {p.prior or 'uniform'} | {p.unit} | {p.meaning} |"
        )
    return "\n".join(rows) + "\n"


def write_modules_page(path: Path) -> None:
    """Write the page."""
    path.write_text(modules_page(), encoding="utf-8")


if __name__ == "__main__":
    import sys

    write_modules_page(Path(sys.argv[1]))
