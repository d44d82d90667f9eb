"""Options of the noise models, the parameters that they declare, and the sections of nuisance parameters."""

from __future__ import annotations

import re
from typing import Literal, get_args

from pydantic import Field, field_validator, model_validator

from orchestrator.config.option_types import Flag, Number, Options, Text
from orchestrator.physics.parameter import Parameter

__all__ = ["NOISE_MODELS", "NoiseOptions", "noise_parameters", "nuisance_section"]

_Chosen = Literal["MultiplicativeNoiseModel", "AdditiveNoiseModel", "JitterNoiseModel", "StudentT", "GaussianProcess"]
NOISE_MODELS: tuple[str, ...] = get_args(_Chosen)

_PHYSICAL = ("stars", "kinematics", "dust", "dust_attenuation", "extra", "likelihoods", "joint_amplitude")
"""Sections (or what they begin with) that hold what data sets share."""


def nuisance_section(name: str) -> str:
    """Return a section's name in lower case, as CosmoSIS knows it.

    Raises
    ------
    ValueError
        For a name that cannot be, or that belongs to the physics.
    """
    lower = name.lower()
    if not re.fullmatch(r"[a-z][a-z0-9_.]*", lower):
        msg = f"{name!r} is no name of a section; use letters, digits, '_' and '.'"
        raise ValueError(msg)
    if lower.split(".")[0] in _PHYSICAL:
        msg = f"section {name!r} holds what all data sets share; choose another name"
        raise ValueError(msg)
    return lower


class NoiseOptions(Options):
    """The noise: how the stated uncertainties become a likelihood."""

    noise_model: _Chosen | None = Field(
        None,
        alias="NoiseModel",
        description="none takes the errors as stated; Multiplicative samples beta, a factor on the inverse variance; "
        "Additive log10_jitter, in quadrature; Jitter both; StudentT has wings for outliers; GaussianProcess is "
        "correlated along the spectrum",
    )
    noise_beta: Flag = Field(False, description="StudentT and GaussianProcess sample beta too")
    noise_fractional: Flag = Field(
        False, description="samples fractional too: an error in proportion to the flux of the data, in quadrature"
    )
    noise_nu: Number | None = Field(
        None, gt=0, description="StudentT: degrees of freedom, fixed; sampled as nu if left out"
    )
    noise_kernel: Literal["Matern32", "SHO"] = Field(
        "Matern32", description="GaussianProcess: form of the covariance (SHO: damped harmonic oscillator)"
    )
    noise_gp_quality: Number = Field(
        0.7071067811865476, gt=0, description="GaussianProcess with SHO: its quality factor"
    )
    noise_gp_axis: Literal["Angstrom", "km/s"] = Field(
        "Angstrom", description="GaussianProcess: unit of log10_gp_scale, observed frame (km/s: c ln wavelength)"
    )
    noise_section: Text = Field(
        "noise",
        description="section of the noise parameters in the values file; where several modules of a stage have such "
        "parameters, each gets its own, noise_SUFFIX, unless this is given",
    )

    @field_validator("noise_section")
    @classmethod
    def _noise_section_can_be(cls, name: str) -> str:
        return nuisance_section(name)

    @model_validator(mode="after")
    def _noise_options_fit(self) -> NoiseOptions:
        chosen = self.noise_model or "none"
        needs = {
            "noise_nu": ("StudentT",),
            "noise_kernel": ("GaussianProcess",),
            "noise_gp_quality": ("GaussianProcess",),
            "noise_gp_axis": ("GaussianProcess",),
        }
        for name, families in needs.items():
            if name in self.model_fields_set and chosen not in families:
                msg = f"{name} has no effect with NoiseModel = {chosen}; remove it, or set NoiseModel = {families[0]}"
                raise ValueError(msg)
        if self.noise_beta and chosen not in ("StudentT", "GaussianProcess"):
            advice = "it samples beta already" if self.samples_beta else "set NoiseModel = MultiplicativeNoiseModel"
            msg = f"noise_beta = T is for StudentT and GaussianProcess; with NoiseModel = {chosen} {advice}"
            raise ValueError(msg)
        if "noise_gp_quality" in self.model_fields_set and self.noise_kernel != "SHO":
            msg = "noise_gp_quality has no effect with noise_kernel = Matern32; remove it, or set noise_kernel = SHO"
            raise ValueError(msg)
        if chosen == "StudentT" and getattr(self, "amplitude", None) == "marginalised":
            msg = (
                "amplitude = marginalised needs Gaussian noise, and NoiseModel is StudentT; set amplitude = profiled "
                "or sampled"
            )
            raise ValueError(msg)
        return self

    @property
    def samples_beta(self) -> bool:
        """Whether the stated errors are scaled by ``beta``."""
        of_the_model = self.noise_model in ("MultiplicativeNoiseModel", "JitterNoiseModel")
        return of_the_model or (self.noise_beta and self.noise_model in ("StudentT", "GaussianProcess"))


def noise_parameters(options: NoiseOptions) -> tuple[Parameter, ...]:
    """Return the parameters of the noise."""
    section, chosen = options.noise_section, options.noise_model
    found = []
    if options.samples_beta:
        meaning = "factor on the inverse variance of the data; below 1 widens the errors"
        found.append(Parameter(section, "beta", 0.01, 1.0, 10.0, "", meaning))
    if chosen in ("AdditiveNoiseModel", "JitterNoiseModel"):
        meaning = "log10 of an error added in quadrature, in units of the median error"
        found.append(Parameter(section, "log10_jitter", -2.0, -0.5, 1.5, "dex", meaning))
    if options.noise_fractional:
        meaning = "error added in quadrature, as a fraction of the (smoothed) flux of the data"
        found.append(Parameter(section, "fractional", 0.0, 0.02, 0.5, "", meaning))
    if chosen == "StudentT" and options.noise_nu is None:
        meaning = "degrees of freedom of Student's t; small for many outliers"
        found.append(Parameter(section, "nu", 1.0, 5.0, 50.0, "", meaning))
    if chosen == "GaussianProcess":
        meaning = "log10 of the amplitude of the correlated noise, in units of the median error"
        found.append(Parameter(section, "log10_gp_sigma", -2.0, -0.5, 2.0, "dex", meaning))
        lower, start, upper = (0.0, 1.5, 3.5) if options.noise_gp_axis == "Angstrom" else (1.5, 3.0, 5.0)
        meaning = "log10 of the length of the correlated noise (the period of SHO)"
        unit = f"dex {options.noise_gp_axis}"
        found.append(Parameter(section, "log10_gp_scale", lower, start, upper, unit, meaning))
    return tuple(found)
