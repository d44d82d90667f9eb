r"""Names of parameters and units as they stand in figures and tables.

>>> label_for("kinematics", "los_vel")
'$V$ [km s$^{-1}$]'
>>> label_for("my_section", "my_parameter")
'my_parameter'
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

__all__ = ["label_for", "split_name", "symbol_for", "unit_for", "unit_in_mathtext"]


@dataclass(frozen=True)
class _Label:
    symbol: str
    unit: str = ""
    unit_in_symbol: bool = False


_FORMED_MASS = _Label(r"$\log_{10}(M_\mathrm{formed}/M_\odot)$", "dex Msun", True)
_SURVIVING_MASS = _Label(r"$\log_{10}(M_\mathrm{surviving}/M_\odot)$", "dex Msun", True)
_LABELS = {
    ("kinematics", "los_vel"): _Label("$V$", "km/s"),
    ("kinematics", "los_sigma"): _Label(r"$\sigma$", "km/s"),
    ("kinematics", "los_h3"): _Label("$h_3$"),
    ("kinematics", "los_h4"): _Label("$h_4$"),
    ("dust.extinction", "a_v"): _Label("$A_V$", "mag"),
    ("dust.extinction", "r_v"): _Label("$R_V$"),
    ("noise", "beta"): _Label(r"$\beta_\mathrm{noise}$"),
    ("noise", "log10_jitter"): _Label(r"$\log_{10}(\sigma_\mathrm{jitter}/\sigma)$"),
    ("noise", "fractional"): _Label(r"$f_\mathrm{noise}$"),
    ("noise", "nu"): _Label(r"$\nu_\mathrm{noise}$"),
    ("noise", "log10_gp_sigma"): _Label(r"$\log_{10}(\sigma_\mathrm{GP}/\sigma)$"),
    ("noise", "log10_gp_scale"): _Label(r"$\log_{10}(\ell_\mathrm{GP})$"),
    ("stars.sfh", "logtau"): _Label(r"$\log_{10}(\tau/\mathrm{Gyr})$", "dex Gyr", True),
    ("stars.sfh", "t0"): _Label("$t_0$", "Gyr"),
    ("stars.sfh", "scale"): _Label(r"$\sigma_\mathrm{SFH}$"),
    ("stars.sfh", "quenching_time"): _Label(r"$t_\mathrm{q}$", "Gyr"),
    ("stars.sfh", "ism_metallicity_today"): _Label(r"$Z_\mathrm{today}$"),
    ("stars.sfh", "alpha_powerlaw"): _Label(r"$\alpha_Z$"),
    ("stars.sfh", "log10_stellar_mass"): _FORMED_MASS,
    ("extra", "stellar_mass"): _FORMED_MASS,
    ("extra", "surviving_stellar_mass"): _SURVIVING_MASS,
    ("extra", "log10_sfr_10myr"): _Label(
        r"$\log_{10}(\mathrm{SFR}_\mathrm{10\,Myr}/M_\odot\,\mathrm{yr}^{-1})$", "dex Msun/yr", True
    ),
    ("extra", "log10_sfr_100myr"): _Label(
        r"$\log_{10}(\mathrm{SFR}_\mathrm{100\,Myr}/M_\odot\,\mathrm{yr}^{-1})$", "dex Msun/yr", True
    ),
    ("extra", "log10_ssfr_100myr"): _Label(
        r"$\log_{10}(\mathrm{sSFR}_\mathrm{100\,Myr}/\mathrm{yr}^{-1})$", "dex 1/yr", True
    ),
    ("extra", "mass_weighted_age"): _Label(r"$\langle t \rangle_M$", "Gyr"),
    ("extra", "light_weighted_age"): _Label(r"$\langle t \rangle_L$", "Gyr"),
    ("extra", "mass_weighted_log10_metallicity"): _Label(r"$\langle \log_{10} Z \rangle_M$"),
    ("extra", "light_weighted_log10_metallicity"): _Label(r"$\langle \log_{10} Z \rangle_L$"),
    ("extra", "t50"): _Label(r"$t_{50}$", "Gyr"),
    ("extra", "t90"): _Label(r"$t_{90}$", "Gyr"),
    ("extra", "t50_lookback"): _Label(r"$t_{50}$ (lookback)", "Gyr"),
    ("extra", "t90_lookback"): _Label(r"$t_{90}$ (lookback)", "Gyr"),
    ("", "post"): _Label(r"$\ln P$"),
    ("", "prior"): _Label(r"$\ln \pi$"),
    ("", "like"): _Label(r"$\ln \mathcal{L}$"),
}

_UNIT_SYMBOLS = {
    "A": r"$\mathrm{\AA}$",
    "Angstrom": r"$\mathrm{\AA}$",
    "AA": r"$\mathrm{\AA}$",
    "um": r"$\mathrm{\mu}$m",
    "uJy": r"$\mathrm{\mu}$Jy",
    "Msun": r"$M_\odot$",
    "Lsun": r"$L_\odot$",
}


def split_name(name: str | Sequence[str]) -> tuple[str, str]:
    """Return (section, name) of a parameter.

    Parameters
    ----------
    name : str or (str, str)
        ``section--name`` as CosmoSIS writes it in a chain, or the pair itself.

    Returns
    -------
    tuple of str
        The section is empty where the name has none (``post``, ``prior``).
    """
    if not isinstance(name, str):
        section, parameter = name
        return section, parameter
    section, separator, parameter = name.partition("--")
    return (section, parameter) if separator else ("", name)


def symbol_for(section: str, name: str) -> str:
    """Return the symbol of a parameter in mathtext; its own name where it has none.

    Parameters
    ----------
    section, name : str
        As in a values file. Upper and lower case are not told apart, as in CosmoSIS.

    Returns
    -------
    str
    """
    return _find(section, name).symbol


def unit_for(section: str, name: str) -> str:
    """Return the unit of a parameter in plain text, ``km/s``; empty for a pure number.

    Parameters
    ----------
    section, name : str
        As in a values file.

    Returns
    -------
    str
        ``dex Msun`` for the logarithm of a mass in solar masses.
    """
    return _find(section, name).unit


def label_for(section: str, name: str) -> str:
    """Return the axis label of a parameter: symbol and unit.

    Parameters
    ----------
    section, name : str
        As in a values file.

    Returns
    -------
    str
        In mathtext; the raw name where the parameter is not known.
    """
    label = _find(section, name)
    if not label.unit or label.unit_in_symbol:
        return label.symbol
    return f"{label.symbol} [{unit_in_mathtext(label.unit)}]"


def _find(section: str, name: str) -> _Label:
    section, name = section.lower(), name.lower()
    if (section, name) in _LABELS:
        return _LABELS[section, name]
    if section == "dust_attenuation" and name in ("a_v", "r_v"):
        return _LABELS["dust.extinction", name]
    if match := re.fullmatch(r"(noise|legendre)_(\w+)", section):  # that of one data set in a joint fit
        own = _find(match[1], name)
        return replace(own, symbol=f"{own.symbol} ({match[2]})")
    if match := re.fullmatch(r"legendre_(\d+)", name):
        return _Label(f"$p_{{{match[1]}}}$")
    if match := re.fullmatch(r"t_at_frac_(\d*\.?\d+)", name):
        return _Label(f"$t_{{{100 * float(match[1]):.4g}\\%}}$", "Gyr")
    return _Label(name.replace("$", r"\$"))


def unit_in_mathtext(unit: str, power_of_ten: int = 0) -> str:
    r"""Return a unit in mathtext, with negative exponents in place of fractions.

    Parameters
    ----------
    unit : str
        For example ``erg/s/cm2/A``, ``1e-17 erg/s/cm2/A`` or ``erg / (s cm2 Hz)``.
    power_of_ten : int
        Exponent of a further factor that was taken out of the numbers.

    Returns
    -------
    str
        For example ``10$^{-17}$ erg s$^{-1}$ cm$^{-2}$ $\mathrm{\AA}^{-1}$``; the text as it came where
        it is no simple product of units.
    """
    text = unit.strip().replace("**", "^").replace("\N{ANGSTROM SIGN}", "A").replace("\u00c5", "A")
    factor = ""
    if match := re.match(r"(\d+\.?\d*(?:[eE][-+]?\d+)?|10\^?[-+]\d+)[\s*]*(?=[A-Za-z])", text):
        mantissa, exponent = _decimal_factor(match[1])
        factor, power_of_ten, text = mantissa, power_of_ten + exponent, text[match.end() :]
    words = _unit_words(text)
    body = " ".join(words) if words is not None else text
    if power_of_ten:
        power = f"10$^{{{power_of_ten}}}$"
        factor = rf"{factor}$\times${power}" if factor else power
    return f"{factor} {body}".strip()


def _decimal_factor(text: str) -> tuple[str, int]:
    """Return the mantissa (empty for 1) and the exponent of a leading number."""
    if match := re.fullmatch(r"10\^?([-+]\d+)", text):
        return "", int(match[1])
    mantissa, _, exponent = f"{float(text):.12e}".partition("e")
    mantissa = f"{float(mantissa):g}"
    return ("" if mantissa == "1" else mantissa), int(exponent)


def _unit_words(text: str) -> list[str] | None:
    """Return each unit of a product in mathtext; None where the text is something else."""
    words: list[str] = []
    bracket_sign, sign, position = 1, 1, 0
    pattern = re.compile(r"[\s.*]*(?:([/()])|([A-Za-z%\u00b5\u03bc]+)\^?([-+]?\d+)?)[\s.*]*")
    while position < len(text):
        match = pattern.match(text, position)
        if match is None:
            return None
        mark, symbol, exponent = match.groups()
        if mark == "/":
            sign = -1
        elif mark == "(":
            bracket_sign, sign = sign, 1
        elif mark == ")":
            bracket_sign = 1
        else:
            words.append(_one_unit(symbol, bracket_sign * sign * int(exponent or 1)))
            sign = 1
        position = match.end()
    return words


def _one_unit(symbol: str, power: int) -> str:
    symbol = symbol.replace("\u00b5", "u").replace("\u03bc", "u")
    pretty = _UNIT_SYMBOLS.get(symbol, symbol)
    return pretty if power == 1 else f"{pretty}$^{{{power}}}$".replace("$$", "")
