"""The parameter, values and priors files that a results file carries in its header."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from orchestrator.config.text_files import parse_sections
from orchestrator.config.values import ValuesFile, parse_values
from orchestrator.errors import ChainError, ConfigError
from orchestrator.fit.chain import Chain

__all__ = ["embedded_sections", "embedded_values", "parameter_limits"]

logger = logging.getLogger(__name__)


def embedded_sections(chain: Chain) -> dict[str, dict[str, str]]:
    """Return the ini file in the header: section to name to text.

    Raises
    ------
    ChainError
        If the header holds none, or it cannot be read.
    """
    parsed = parse_sections(chain.params_ini, f"header of {chain.path}")
    if parsed.faults or not parsed.sections:
        faults = "; ".join(parsed.faults) or "there is none"
        msg = f"The ini file in the header of {str(chain.path)!r} cannot be read: {faults}."
        raise ChainError(msg)
    return parsed.sections


def embedded_values(chain: Chain) -> ValuesFile:
    """Return the values file in the header, constants included.

    Raises
    ------
    ChainError
        If an entry is malformed.
    """
    try:
        return parse_values(chain.values_ini, f"header of {chain.path}")
    except ConfigError as error:
        msg = f"The values file in the header of {str(chain.path)!r} cannot be read: {error}"
        raise ChainError(msg) from error


def parameter_limits(chain: Chain) -> Mapping[tuple[str, str], tuple[float, float]]:
    """Return the sampled range of each parameter; empty, with a warning, if the header does not tell."""
    try:
        values = embedded_values(chain)
    except ChainError as error:
        logger.warning("no limits are known: %s", error)
        return {}
    return {key: (entry.lower, entry.upper) for key, entry in values if not entry.is_fixed}
