"""The attenuation laws as a table for the documentation."""

from __future__ import annotations

from orchestrator.physics.dust_laws import DUST_LAWS

__all__ = ["law_table"]

_WIDEST = 1e9


def law_table() -> str:
    """Return a Markdown table: name, reference, range, R_V, and what is free in each law."""
    rows = [
        "| `ExtinctionLaw` | reference | from | to | `r_v` | can be free | outside the range |",
        "|---|---|---|---|---|---|---|",
    ]
    for law in DUST_LAWS.values():
        r_v = f"{law.r_v:g}"
        if law.r_v_range is not None:
            r_v += f" ({law.r_v_range[0]:g} to {law.r_v_range[1]:g})"
        free = [*(["r_v"] if law.r_v_range else []), *law.shapes]
        rows.append(
            f"| `{law.name}` | {law.reference} | {law.lower:.0f} | {_end(law.upper)} | {r_v} "
            f"| {', '.join(f'`{name}`' for name in free) or '-'} | {'continued' if law.continues else 'refused'} |"
        )
    note = (
        "\nWavelengths in Angstrom. Bluewards of 912 Angstrom every curve keeps its value there; the laws of "
        "`dust_extinction` keep the value at the blue end of their range, and fall as wavelength to the power -1.61 "
        "redwards of it. The log says where data lie outside the range of a law.\n"
    )
    return "\n".join(rows) + "\n" + note


def _end(wavelength: float) -> str:
    return f"{wavelength:.0f}" if wavelength < _WIDEST else "-"
