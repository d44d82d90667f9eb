"""Whether the modules of one stage describe one galaxy: the same star-formation history at the same redshift."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator.config.module_sections import ModuleDraft

__all__ = ["check_one_galaxy"]

_HISTORY = (
    "sfh_model", "sfh_args", "sfh_prior", "dirichlet_concentration", "continuity_scale", "continuity_degrees",
)  # fmt: skip
_LARGEST_DIFFERENCE = 0.01
"""Of the redshifts of two modules; below, calibrations or frames may differ."""


def check_one_galaxy(drafts: Sequence[ModuleDraft], faults: list[str]) -> None:
    """Require one history and one redshift in all modules of a stage, which share the parameters ``stars.sfh``.

    Parameters
    ----------
    drafts : sequence of ModuleDraft
        Modules of the stage.
    faults : list of str
        Faults are added here.
    """
    known = {draft.section.name: draft.options for draft in drafts if draft.options is not None}
    with_history: dict[str, Any] = {name: o for name, o in known.items() if hasattr(o, "sfh_model")}
    for option in _HISTORY:
        chosen = {name: getattr(options, option) for name, options in with_history.items()}
        if len(set(chosen.values())) > 1:
            field = type(next(iter(with_history.values()))).model_fields[option]
            faults.append(
                f"the modules of one stage share the star-formation history, but their {field.alias or option} "
                f"differs: {_listed(chosen)}; set the same in all of them"
            )
            break  # one difference brings others
    searched = {name for name, options in known.items() if hasattr(options, "z_min")}
    redshifts = {name: o.redshift for name, o in known.items() if hasattr(o, "redshift") and name not in searched}
    if redshifts and max(redshifts.values()) - min(redshifts.values()) > _LARGEST_DIFFERENCE:
        faults.append(
            f"the modules of one stage describe one galaxy, but their redshift differs: {_listed(redshifts)}; set "
            "the same in all of them"
        )


def _listed(chosen: dict[str, Any]) -> str:
    texts = {name: " ".join(map(str, v)) if isinstance(v, tuple) else str(v) for name, v in chosen.items()}
    return ", ".join(f"[{name}] {text or 'none'}" for name, text in texts.items())
