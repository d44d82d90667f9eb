"""Real fits through a worker: the numbers of `MainPipeline`, wherever they run and however they come back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from quick_stages import write_spectrum
from small_library import write_library
from work_orders import a_fit, a_function, a_production, a_work, an_order, records_of, summary_of

from orchestrator import MainPipeline, load_run
from orchestrator.production.columns import COMMON_COLUMNS, flag_names
from orchestrator.production.records import StagePlan, TaskOrder
from orchestrator.production.shards import pack
from orchestrator.production.target_config import stage_sections
from orchestrator.production.work.chunk import run_chunk, stop_fitters
from orchestrator.production.work.journal import ColumnsFrame, read_journal
from orchestrator.production.work.samples import read_samples

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A library and two spectra."""
    folder = tmp_path_factory.mktemp("data")
    write_library(folder / "toy.npz")
    write_spectrum(folder / "galaxy0.dat")
    write_spectrum(folder / "galaxy1.dat", flux=lambda flux: flux * 1.3)
    return folder


def stages(data, **changes):
    """A fit with a posterior, and one that takes it as a prior."""
    module = {
        "inputSpectrum": "{spectrum}",
        "SSPModel": str(data / "toy.npz"),
        "SFHModel": "ExponentialSFH",
        "fluxUnits": "1e-16 erg / (s cm2 Angstrom)",
        "redshift": "{redshift}",
        "velscale": 80.0,
    }
    quick = {"walkers": 20, "samples": 40, "nsteps": 20}
    first = {
        "runtime": {"sampler": "maxlike emcee"},
        "maxlike": {"maxiter": 30},
        "emcee": quick,
        "pipeline": {"modules": "FullSpectralFit"},
        "FullSpectralFit": module,
    }
    second = {**first, "runtime": {"sampler": "emcee"}, "handover": {"stars.sfh": "prior", "kinematics": "fix"}}
    return (
        StagePlan("first", "fit", first, **changes),
        StagePlan("second", "fit", second, needs=("first",)),
        a_function("best_of_second", "third", needs=("second",)),
    )


def galaxy(plan, data, number, **changes):
    values = {"spectrum": str(data / f"galaxy{number}.dat"), "redshift": 0.01}
    return a_work(plan, number, values={**values, **changes.pop("values", {})}, **changes)


def chains_of(folder, records):
    place = "spool/1-1.journal#"
    return {(r.target_id, r.stage): read_samples(folder, place + r.samples) for r in records if r.samples}


TIMES = {"seconds", "overhead_seconds", "cpu_seconds", "peak_memory", "own_process"}


def numbers_of(records):
    return {
        (r.target_id, r.stage): {name: value for name, value in r.columns.items() if name not in TIMES}
        for r in records
    }


@pytest.fixture(scope="module")
def shards(tmp_path_factory, data):
    """A production of two targets through the fitter; folder, plan and records."""
    folder = tmp_path_factory.mktemp("shards")
    plan = a_production(folder, *stages(data))
    works = [galaxy(plan, data, 0), galaxy(plan, data, 1)]
    records = records_of(folder, run_chunk(an_order(folder, plan, works)))
    stop_fitters()
    return folder, plan, records


def test_all_stages_of_all_targets_are_done(shards):
    _, _, records = shards
    assert set(summary_of(records).values()) == {"done"}
    assert [(r.target_id, r.stage) for r in records] == [(n, s) for n in (0, 1) for s in ("first", "second", "third")]
    assert len({r.key for r in records}) == 6
    assert all(len(r.files) >= 1 for r in records if r.stage != "third")


def test_the_numbers_are_those_of_the_main_pipeline(shards, data, tmp_path, monkeypatch):
    folder, plan, records = shards
    monkeypatch.chdir(tmp_path)
    target = galaxy(plan, data, 1).target
    configs = [stage_sections(plan, stage, target, output=tmp_path / stage.name) for stage in plan.stages[:2]]
    results = MainPipeline(configs).run()
    stored = chains_of(folder, records)
    for result in results:
        found = stored[1, result.name]
        np.testing.assert_array_equal(found.chain[:, : len(result.chain.parameters)], result.chain.samples)
        row = next(r.columns for r in records if (r.target_id, r.stage) == (1, result.name))
        for entry in result.summary.parameters:
            assert row[f"{entry.name}_best_fit"] == entry.best_fit
            assert row[entry.name] == pytest.approx(entry.median, rel=1e-12)
            assert row[f"{entry.name}_upper_68"] == pytest.approx(entry.upper_68, rel=1e-12)
        for entry in result.derived.rows:
            if entry.name in row:
                assert row[f"{entry.name}_best_fit"] == pytest.approx(entry.best_fit, rel=1e-6)
                assert row[entry.name] == pytest.approx(entry.median, rel=1e-6)
        goodness = result.goodness["FullSpectralFit"]
        assert row["chi2_fullspectralfit"] == pytest.approx(goodness.chi2, rel=1e-9)
        assert row["n_data_fullspectralfit"] == goodness.n_data
        assert row["verdict"] == result.verdict
        assert found.documents["config"]["identity"] is not None


def test_in_the_worker_itself_the_numbers_are_the_same(shards, data, tmp_path):
    _, _, records = shards
    plan = a_production(tmp_path, *stages(data), isolation="none")
    works = [galaxy(plan, data, 0), galaxy(plan, data, 1)]
    again = records_of(tmp_path, run_chunk(an_order(tmp_path, plan, works)))
    assert numbers_of(again) == numbers_of(records)
    assert [r.key for r in again] == [r.key for r in records]


@pytest.mark.parametrize("source", ["journal", "shard"])
def test_a_handover_from_stored_samples_is_that_of_one_go(shards, data, tmp_path, source):
    folder, plan, records = shards
    first, second, _ = [r for r in records if r.target_id == 0]
    reference = f"spool/1-1.journal#{first.samples}"
    if source == "shard":
        name = f"samples/shard-{tmp_path.name}.h5"
        reference = pack(folder, ["spool/1-1.journal"], name).references[reference]
    work = galaxy(plan, data, 0, stages=["second", "third"])
    work = replace(work, upstream={"first": reference}, upstream_keys={"first": first.key})
    report = run_chunk(an_order(folder, plan, [work], chunk=f"2-{source}"))
    found, last = records_of(folder, report)
    assert numbers_of([found]) == numbers_of([second])
    assert found.key == second.key
    assert last.columns["logtau_found"] == second.columns["logtau_best_fit"]


def test_every_column_is_declared(shards):
    folder, _, records = shards
    declared = {}
    for frame in read_journal(folder / "spool" / "1-1.journal"):
        if isinstance(frame, ColumnsFrame):
            declared.setdefault(frame.stage, {}).update({column.name: column for column in frame.columns})
    for record in records:
        assert set(record.columns) == set(declared[record.stage])
        kinds = {"float": (float,), "int": (int,), "text": (str,), "bool": (bool,)}
        for name, value in record.columns.items():
            assert value is None or isinstance(value, kinds[declared[record.stage][name].kind]), name
    assert set(declared["third"]) == {column.name for column in COMMON_COLUMNS} | {"logtau_found"}
    first = declared["first"]
    assert first["los_sigma"].unit == "km / s"
    assert first["stellar_mass"].unit == "dex(solMass)"
    assert "16th percentile" in first["t50_lower_68"].description


def test_times_and_memory_are_told(shards):
    _, _, records = shards
    for record in records:
        columns = record.columns
        assert columns["seconds"] > 0
        assert columns["overhead_seconds"] > 0
        assert columns["version"]
        if record.stage != "third":
            assert columns["peak_memory"] > 50
            assert columns["cpu_seconds"] > 0


def test_samples_hold_models_tables_and_files(shards, tmp_path):
    folder, _, records = shards
    stored = chains_of(folder, records)[0, "first"]
    model = stored.models["FullSpectralFit"]
    assert set(model) == {"wavelength", "flux", "error", "model", "fitted"}
    good = model["fitted"]
    chi2 = float((((model["flux"] - model["model"]) / model["error"])[good].astype(float) ** 2).sum())
    assert chi2 == pytest.approx(records[0].columns["chi2_fullspectralfit"], rel=1e-3)
    assert stored.derived_parameters["stellar_mass"].best_fit == records[0].columns["stellar_mass_best_fit"]
    assert stored.formation_history.rate.is_sampled
    result = load_run(stored.write_directory(tmp_path))
    assert result.summary.to_dict()["parameters"] == stored.best_fit["parameters"]
    assert result.derived is not None
    assert result.verdict == records[0].columns["verdict"]
    assert (tmp_path / "first.maxlike.txt").is_file(), "the verdict compares with what the optimiser found"
    assert result.goodness["FullSpectralFit"].chi2 == records[0].columns["chi2_fullspectralfit"]
    assert stored.reader(tmp_path).get_module("FullSpectralFit").parameters


def test_directories_are_what_the_main_pipeline_leaves(shards, data, tmp_path):
    _, _, records = shards
    plan = a_production(tmp_path, *stages(data), samples="directories")
    works = [galaxy(plan, data, 0)]
    again = records_of(tmp_path, run_chunk(an_order(tmp_path, plan, works)))
    assert numbers_of(again) == numbers_of([r for r in records if r.target_id == 0])
    assert [r.samples for r in again] == ["targets/g0/first.txt", "targets/g0/second.txt", ""]
    result = load_run(tmp_path / again[0].samples)
    assert result.derived is not None
    assert result.run.log.read_text()
    assert result.goodness
    stored = read_samples(tmp_path, again[0].samples)
    assert stored.columns["los_sigma"] == again[0].columns["los_sigma"]
    # again: the former result is kept aside, and a later stage goes on from the folder
    report = run_chunk(an_order(tmp_path, plan, [galaxy(plan, data, 0, stages=["first"])], chunk="2-1"))
    assert summary_of(records_of(tmp_path, report)) == {(0, "first"): "done"}
    assert (tmp_path / "targets/g0/previous/first.1.txt").is_file()
    work = galaxy(plan, data, 0, stages=["second"], upstream={"first": again[0].samples},
                  upstream_keys={"first": again[0].key})  # fmt: skip
    (second,) = records_of(tmp_path, run_chunk(an_order(tmp_path, plan, [work], chunk="2-2")))
    assert numbers_of([second]) == numbers_of([again[1]])


def test_without_samples_a_later_stage_repeats_what_it_needs(shards, data, tmp_path):
    _, _, records = shards
    plan = a_production(tmp_path, *stages(data), samples="none")
    first, second, _ = records[:3]
    work = galaxy(plan, data, 0, stages=["second"], upstream={"first": ""}, upstream_keys={"first": first.key})
    (found,) = records_of(tmp_path, run_chunk(an_order(tmp_path, plan, [work])))
    assert numbers_of([found]) == numbers_of([second])
    assert found.samples == ""


def test_emission_lines_are_kept(data, tmp_path):
    (first, *_) = stages(data)
    module = {**first.sections["FullSpectralFit"], "measure_emission_lines": "T"}
    sections = {**first.sections, "runtime": {"sampler": "maxlike"}, "FullSpectralFit": module}
    plan = a_production(tmp_path, replace(first, sections=sections))
    records = records_of(tmp_path, run_chunk(an_order(tmp_path, plan, [galaxy(plan, data, 0)])))
    assert "no_derived" not in flag_names(records[0].columns["flags"]), records[0].columns["remarks"]
    stored = chains_of(tmp_path, records)[0, "first"]
    stored.write_directory(tmp_path / "again")
    assert "Hbeta" in (tmp_path / "again" / "first_FullSpectralFit_emission_lines.ecsv").read_text()


def test_bad_input_is_a_result_with_a_flag(data, tmp_path):
    plan = a_production(tmp_path, *stages(data))
    (tmp_path / "empty.dat").write_text("4000 nan nan\n4001 nan nan\n")
    works = [
        galaxy(plan, data, 0, values={"spectrum": str(tmp_path / "no_such_file.dat")}),
        galaxy(plan, data, 1, values={"spectrum": str(tmp_path / "empty.dat")}),
        galaxy(plan, data, 2, values={"spectrum": str(data / "galaxy0.dat"), "redshift": "far"}),
    ]
    records = records_of(tmp_path, run_chunk(an_order(tmp_path, plan, works)))
    assert len(records) == 9, "a row for every stage of every target"
    for record in records:
        assert record.outcome == "done"
        assert flag_names(record.columns["flags"]) == ("bad_input",)
        assert record.columns["verdict"] == "failed"
    remarks = {(r.target_id, r.stage): r.columns["remarks"] for r in records}
    assert "no_such_file.dat" in remarks[0, "first"]
    assert remarks[0, "second"] == f"stage first: {remarks[0, 'first']}"
    assert remarks[0, "third"] == remarks[0, "second"]
    assert "redshift" in remarks[2, "first"]


def test_bad_input_of_an_earlier_run_is_the_same(data, tmp_path):
    plan = a_production(tmp_path, *stages(data))
    work = galaxy(plan, data, 0, values={"spectrum": str(tmp_path / "no_such_file.dat")})
    first, second, _ = records_of(tmp_path, run_chunk(an_order(tmp_path, plan, [work])))
    later = replace(
        work,
        tasks=work.tasks[1:],
        upstream={"first": ""},
        upstream_keys={"first": first.key},
        upstream_columns={"first": first.columns},
    )
    again, _ = records_of(tmp_path, run_chunk(an_order(tmp_path, plan, [later], chunk="2-1")))
    assert numbers_of([again]) == numbers_of([second])


def test_a_fault_of_the_configuration_is_no_fault_of_the_target(data, tmp_path):
    first, second, third = stages(data)
    wrong = replace(first, sections={**first.sections, "emcee": {"walkers": 2, "samples": 4}})
    plan = a_production(tmp_path, wrong, second, third)
    records = records_of(tmp_path, run_chunk(an_order(tmp_path, plan, [galaxy(plan, data, 0)])))
    assert summary_of(records) == {(0, "first"): "unknown"}
    assert "walkers" in records[0].message


def test_only_the_stage_with_the_fault_fails(data, tmp_path):
    first, _, _ = stages(data)
    other = replace(first, name="other", sections={**first.sections, "FullSpectralFit": {
        **first.sections["FullSpectralFit"], "inputSpectrum": "{second_spectrum}"}})  # fmt: skip
    plan = a_production(tmp_path, replace(other, name="before"), first)
    work = galaxy(plan, data, 0, values={"second_spectrum": str(tmp_path / "none.dat")})
    before, after = records_of(tmp_path, run_chunk(an_order(tmp_path, plan, [work])))
    assert flag_names(before.columns["flags"]) == ("bad_input",)
    assert after.columns["verdict"] != "failed"


def test_what_has_not_converged_goes_to_the_next_recipe(data, tmp_path):
    recipe = {"runtime": {"sampler": "maxlike"}}
    plan = a_production(tmp_path, replace(stages(data)[0], recipes=(recipe,)))
    work = galaxy(plan, data, 0)
    (record,) = records_of(tmp_path, run_chunk(an_order(tmp_path, plan, [work])))
    assert (record.outcome, record.error_class) == ("failed", "numerical")
    assert record.message.startswith("not converged: ")
    again = replace(work, tasks=(TaskOrder("first", 2, 1),))
    (record,) = records_of(tmp_path, run_chunk(an_order(tmp_path, plan, [again], chunk="2-1")))
    assert (record.outcome, record.recipe, record.columns["recipe"]) == ("done", 1, 1)
    assert "other_recipe" in flag_names(record.columns["flags"])
    assert record.columns["los_sigma"] == record.columns["los_sigma_best_fit"]
    assert record.columns["los_sigma_std"] is None


def test_no_finite_posterior_is_numerical(tmp_path):
    plan = a_production(tmp_path, a_fit(sampler="maxlike", module={"trap": "nan"}))
    (record,) = records_of(tmp_path, run_chunk(an_order(tmp_path, plan, [a_work(plan, 0)])))
    assert (record.outcome, record.error_class) == ("failed", "numerical")
    assert "not finite at the start point" in record.message
    assert record.log


def test_modules_of_one_name_in_two_folders_are_two_modules(tmp_path):
    """CosmoSIS imports a module file by its bare name, and a fitter lives on."""
    for folder, centre in (("one", 1.0), ("two", 2.0)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same_name.py").write_text(
            "def setup(options):\n    return 0\n\n"
            "def execute(block, data):\n"
            f"    block['likelihoods', 'mine_like'] = -0.5 * (block['mine', 'x'] - {centre}) ** 2\n    return 0\n"
        )
    sections = {
        "pipeline": {"modules": "Mine", "likelihoods": "mine"},
        "Mine": {"file": "{file}"},
        "values": {"mine": {"x": "-5 0.3 5"}},
    }
    stage = a_fit(sampler="maxlike", sections=sections)
    stage = replace(stage, sections={name: s for name, s in stage.sections.items() if name != "Toy"})
    plan = a_production(tmp_path, stage)
    works = [
        a_work(plan, n, values={"file": str(tmp_path / folder / "same_name.py")})
        for n, folder in enumerate(["one", "two", "one"])
    ]
    records = records_of(tmp_path, run_chunk(an_order(tmp_path, plan, works)))
    assert [r.columns["x"] for r in records] == pytest.approx([1.0, 2.0, 1.0], abs=0.05)
    assert len({r.process for r in records}) == 1


def test_the_seed_of_a_target_does_not_depend_on_its_neighbours(data, tmp_path):
    plan = a_production(tmp_path, a_fit())
    together = records_of(tmp_path, run_chunk(an_order(tmp_path, plan, [a_work(plan, n) for n in range(3)])))
    alone = records_of(tmp_path, run_chunk(an_order(tmp_path, plan, [a_work(plan, 2)], chunk="2-1")))
    assert numbers_of(alone) == numbers_of(together[2:])
    assert len({r.columns["seed"] for r in together}) == 3


@pytest.mark.parametrize("samples", ["shards", "directories"])
def test_a_stage_on_two_ranks(tmp_path, samples):
    plan = a_production(tmp_path, a_fit(sampler="maxlike emcee", n_cores=2), samples=samples)
    (record,) = records_of(tmp_path, run_chunk(an_order(tmp_path, plan, [a_work(plan, 0)])))
    assert record.outcome == "done", record.message
    assert record.columns["b_best_fit"] == pytest.approx(-3.0, abs=0.1)
    if samples == "directories":
        assert "MPI with 2 processes" in (tmp_path / "targets/g0/fit.log").read_text()


def test_a_wrong_number_of_ranks_is_refused(tmp_path):
    """Two MPI libraries that do not know each other start processes that each believe to be alone."""
    program = tmp_path / "otherexec"
    program.write_text('#!/bin/sh\nshift 2\nexec "$@"\n')
    program.chmod(0o755)
    plan = a_production(tmp_path, a_fit(sampler="maxlike", n_cores=2), mpi_command=f"{program} -n {{ranks}}")
    (record,) = records_of(tmp_path, run_chunk(an_order(tmp_path, plan, [a_work(plan, 0)])))
    assert record.outcome == "failed"
    assert "asked for 2 processes, but this process sees 1" in record.message


def test_ranks_end_with_a_fit_that_is_stopped(tmp_path):
    import psutil

    stage = a_fit(sampler="maxlike emcee", n_cores=2, module={"delay": 0.5}, time_limit=6.0)
    plan = a_production(tmp_path, stage)
    (record,) = records_of(tmp_path, run_chunk(an_order(tmp_path, plan, [a_work(plan, 0)])))
    assert record.error_class == "timeout"
    left = [p for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(p.info["cmdline"] or ())]
    assert left == []

