"""The ini file in the header of a results file, typed as CosmoSIS types it."""

from __future__ import annotations

from typing import Any

from orchestrator.config.ini import RAW_SECTIONS
from orchestrator.fit.chain import Chain
from orchestrator.fit.embedded import embedded_sections

__all__ = ["typed_sections"]


def typed_sections(chain: Chain) -> dict[str, dict[str, Any]]:
    """Return section to option to value: typed in module sections, text in those of CosmoSIS itself.

    Raises
    ------
    ChainError
        If the header holds no readable ini file.
    """
    sections = embedded_sections(chain)
    from cosmosis.runtime.config import Inifile

    ini = Inifile.from_lines(chain.params_ini.split("\n"), print_include_messages=False)
    samplers = sections.get("runtime", {}).get("sampler", "").split()
    raw = {*RAW_SECTIONS, *samplers}
    return {
        section: {
            name: text if section in raw else ini.gettyped(section, name) for name, text in options.items()
        }
        for section, options in sections.items()
    }
