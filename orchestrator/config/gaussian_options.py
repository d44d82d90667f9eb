"""Options and parameters of GaussianTarget, a likelihood whose answer is known."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from orchestrator.config.option_types import Number
from orchestrator.config.spectrum_options import CommonOptions
from orchestrator.physics.parameter import Parameter

__all__ = ["GaussianTargetOptions", "gaussian_target_parameters"]


def _as_list(value: Any) -> Any:
    """Bring one number, a list or text such as ``"0, 1.5"`` to a tuple."""
    if isinstance(value, str):
        return tuple(value.strip("()[] ").replace(",", " ").split())
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


Numbers = Annotated[tuple[Number, ...], BeforeValidator(_as_list), Field(min_length=1)]
"""One number or several."""


class GaussianTargetOptions(CommonOptions):
    """Options of GaussianTarget: a Gaussian, or two, in any number of dimensions."""

    mean: Numbers = Field((0.0, 0.0), description="mean of each dimension; their number is that of the dimensions")
    sigma: Numbers = Field((1.0,), description="standard deviation of each dimension; one number serves for all")
    correlation: Numbers = Field(
        (0.0,),
        description="correlation coefficients of the pairs 1-2, 1-3, ..., 2-3, ...; one number serves for all",
    )
    second_mean: Numbers | None = Field(
        None, description="mean of a second mode, which makes the target bimodal; none if left out"
    )
    second_sigma: Numbers | None = Field(
        None, description="standard deviations of the second mode; those of the first if left out"
    )
    second_weight: Number | None = Field(
        None, gt=0, lt=1, description="share of the probability in the second mode; 0.5 if left out"
    )
    range_sigmas: Number = Field(
        10.0, gt=0, description="default ranges reach so many standard deviations beyond the means"
    )

    @property
    def n_dimensions(self) -> int:
        """Number of parameters."""
        return len(self.mean)

    def full(self, values: tuple[float, ...]) -> tuple[float, ...]:
        """Return one value per dimension."""
        return values if len(values) == self.n_dimensions else values * self.n_dimensions

    @model_validator(mode="after")
    def _lengths_agree(self) -> GaussianTargetOptions:
        n = self.n_dimensions
        pairs = n * (n - 1) // 2
        for name, allowed in (
            ("sigma", (1, n)), ("second_mean", (n,)), ("second_sigma", (1, n)), ("correlation", (1, pairs)),
        ):  # fmt: skip
            values = getattr(self, name)
            if values is not None and len(values) not in allowed:
                expected = " or ".join(str(number) for number in sorted(set(allowed)) if number)
                msg = f"{name} has {len(values)} values for {n} dimensions; give {expected}"
                raise ValueError(msg)
        for name in ("sigma", "second_sigma"):
            if any(value <= 0 for value in getattr(self, name) or ()):
                msg = f"{name} = {getattr(self, name)} must be positive"
                raise ValueError(msg)
        if self.second_mean is None and (self.second_sigma is not None or self.second_weight is not None):
            msg = "second_sigma and second_weight have no effect without second_mean; give it or leave them out"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _correlation_is_one(self) -> GaussianTargetOptions:
        from orchestrator.physics.gaussian_mixture import correlation_matrix, smallest_eigenvalue

        smallest = smallest_eigenvalue(correlation_matrix(self.correlation, self.n_dimensions))
        if not smallest > 1e-10:
            msg = (
                f"correlation = {self.correlation} is no correlation matrix of {self.n_dimensions} dimensions: its "
                f"smallest eigenvalue is {smallest:.3g} and must be positive"
            )
            raise ValueError(msg)
        return self


def gaussian_target_parameters(options: GaussianTargetOptions) -> tuple[Parameter, ...]:
    """Return ``gaussian/x_1`` ... ``x_n`` with ranges around all modes."""
    modes = [(options.mean, options.full(options.sigma))]
    if options.second_mean is not None:
        modes.append((options.second_mean, options.full(options.second_sigma or options.sigma)))
    reach = options.range_sigmas
    found = []
    for i in range(options.n_dimensions):
        lower = min(mean[i] - reach * sigma[i] for mean, sigma in modes)
        upper = max(mean[i] + reach * sigma[i] for mean, sigma in modes)
        # not at the answer: the start of a fit should have some way to go
        start = options.mean[i] + 0.2 * (upper - options.mean[i])
        found.append(Parameter("gaussian", f"x_{i + 1}", lower, start, upper, "", f"coordinate {i + 1}"))
    return tuple(found)
