"""BESTA's names of dust, turned into ours where a Galaxy module reads its parameters."""

from __future__ import annotations

from functools import cached_property

from orchestrator.adapters.cosmosis_module import CosmosisModule
from orchestrator.config.dust_parameters import GALAXY_NAMES

__all__ = ["GalaxyNames"]

_OWN_NAMES = {galaxy: own for own, galaxy in GALAXY_NAMES.items()}


class GalaxyNames(CosmosisModule):
    """First base of a module whose parameters of dust have BESTA's names."""

    @cached_property
    def _renamed(self) -> dict[tuple[str, str], tuple[str, str]]:
        """Parameters whose section is not that of the model, and their name there."""
        declared = ((parameter.section, parameter.name) for parameter in self.parameters)
        return {**super()._renamed, **{key: _OWN_NAMES[key] for key in declared if key in _OWN_NAMES}}
