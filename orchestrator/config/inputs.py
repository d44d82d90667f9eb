"""A first look into the input files, so that what cannot be fitted is refused before anything starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from orchestrator.config.extra_outputs import unavailable_outputs
from orchestrator.config.module_sections import module_options_of
from orchestrator.errors import ConfigError, OrchestratorError
from orchestrator.stage import Stage

__all__ = ["check_inputs"]


def check_inputs(
    stages: Sequence[Stage],
    look_at_spectrum: Callable[[Any], object] | None = None,
    look_at_model: Callable[[Any], object] | None = None,
) -> list[str]:
    """Read the spectra, the photometry and the SSP libraries of stages.

    Parameters
    ----------
    stages : sequence of Stage
        Validated stages.
    look_at_spectrum : callable, optional
        Gets the options of a module with a spectrum, reads it and raises if it cannot be fitted; only reads it
        if left out.
    look_at_model : callable, optional
        Gets the options of a module whose files can all be read, and raises if its SSP library does not serve.

    Returns
    -------
    list of str
        Every fault found: wrong units, no usable pixel, a library that is not here. Each file is read once.
    """
    faults: list[str] = []
    done: set[tuple[Any, ...]] = set()
    faulty: set[tuple[Any, ...]] = set()
    for number, stage in enumerate(stages, 1):
        for section, options in module_options_of(stage).items():
            told: set[str] = set()
            readers = _readers(options, look_at_spectrum)
            for key, read in readers:
                if key in done:
                    continue
                done.add(key)
                found = _attempt(read)
                if found:
                    faulty.add(key)
                new = [fault for fault in found if fault not in told]
                told.update(new)
                faults.extend(f"stage {number}: [{section}] {fault}" for fault in new)
            if look_at_model is not None and readers and not any(key in faulty for key, _ in readers):
                wrong = _attempt(partial(look_at_model, options))
                faults.extend(f"stage {number}: [{section}] {fault}" for fault in wrong)
        faults.extend(f"stage {number}: {fault}" for fault in _limits_before_other_data(stage))
        asked = stage.sections.get("pipeline", {}).get("extra_output")
        faults.extend(f"stage {number}: {fault}" for fault in unavailable_outputs(asked, module_options_of(stage)))
    return faults


def _limits_before_other_data(stage: Stage) -> list[str]:
    """Faults of modules with limits that are not the last ones to share a mass that is not sampled.

    The likelihood of a limit is no parabola in the mass, so it cannot be handed on to the next module.
    """
    with_mass = [(name, o) for name, o in module_options_of(stage).items() if hasattr(o, "amplitude")]
    faults = []
    for name, options in with_mass[:-1]:
        if options.amplitude == "sampled" or not hasattr(options, "input_photometry"):
            continue
        try:
            photometry = _photometry(options.input_photometry, options.flux_units, options.redshift)
        except OrchestratorError:
            continue  # reported already
        if (photometry.is_upper_limit | photometry.is_lower_limit).any():
            faults.append(
                f"[{name}] holds limits and shares the stellar mass with modules after it; put it last in "
                "[pipeline] modules, or set amplitude = sampled in all of them"
            )
    return faults


def _attempt(read: Callable[[], object]) -> list[str]:
    try:
        read()
    except ConfigError as error:
        return error.faults
    except OrchestratorError as error:
        return [str(error)]
    return []


def _readers(
    options: Any, look_at_spectrum: Callable[[Any], object] | None
) -> list[tuple[tuple[Any, ...], Callable[[], object]]]:
    """Return what a module reads: a key that tells equal inputs, and a function that reads."""
    readers: list[tuple[tuple[Any, ...], Callable[[], object]]] = []
    if not hasattr(options, "ssp_model"):
        return readers
    library = (options.ssp_model, options.ssp_dir, options.ssp_model_args)
    readers.append((("library", *library), lambda: _load_library(*library)))
    if getattr(options, "input_spectrum", None) is not None:
        path = options.input_spectrum
        how = {
            "row": options.input_spectrum_row,
            "wl_units": options.wl_units,
            "flux_units": options.flux_units,
            "medium": options.wl_medium,
            "mask": options.mask,
            "lsf": options.lsf,
            "redshift": options.redshift,
        }
        if look_at_spectrum is None:
            readers.append((("spectrum", path, *how.values()), lambda: _read_spectrum(path, **how)))
        else:
            others = ("velscale", "legendre_bounds", "index_resolution", "dust_emission", "z_min", "z_max")
            selection = (options.input_spectrum_format, options.wl_range, options.mask_emission_lines,
                         options.mask_sky_lines, options.mask_telluric, options.mask_lines_file, options.fit_grid,
                         *(getattr(options, name, None) for name in others), *library)  # fmt: skip
            readers.append((("spectrum", path, *how.values(), *selection), lambda: look_at_spectrum(options)))
    if getattr(options, "input_indices", None) is not None:
        readers.append((("indices", options.input_indices), lambda: _read_indices(options.input_indices)))
    if hasattr(options, "input_photometry"):
        photometry = (options.input_photometry, options.flux_units, options.redshift)
        readers.append((("photometry", *photometry), lambda: _read_photometry(*photometry)))
    return readers


def _load_library(name: str, directory: Any, arguments: tuple[str, ...]) -> object:
    from orchestrator.ssp_libraries.load import load_library

    return load_library(name, directory, arguments)


def _read_spectrum(path: Any, **how: Any) -> object:
    from orchestrator.observation.read_spectrum import read_spectrum

    return read_spectrum(path, **how)


def _read_photometry(path: Any, flux_units: Any, redshift: Any) -> object:
    from orchestrator.observation.filters import load_filter

    return [load_filter(name) for name in _photometry(path, flux_units, redshift).filter_names]


def _read_indices(path: Any) -> object:
    from orchestrator.observation.line_indices import read_indices

    return read_indices(path)


def _photometry(path: Any, flux_units: Any, redshift: Any) -> Any:
    from orchestrator.observation.read_photometry import read_photometry

    return read_photometry(path, flux_units=flux_units, redshift=redshift)
