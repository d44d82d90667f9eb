from __future__ import annotations

import pytest
from small_production import RUN_FILE, write_production

from orchestrator.errors import ConfigError
from orchestrator.production.plan import plan_of
from orchestrator.production.resolved_file import resolved_content, write_resolved
from orchestrator.production.run_file import read_run_file
from orchestrator.production.yaml_text import parse_yaml, render_yaml


@pytest.fixture
def path(tmp_path):
    return write_production(tmp_path)


def faults_of(path, *settings, site=None):
    with pytest.raises(ConfigError) as caught:
        read_run_file(path, settings, site)
    return caught.value.faults


def velscale(run_file):
    return run_file.stages[0].sections["KinDust"]["velscale"]


def test_a_run_file_is_resolved(path, tmp_path):
    run_file = read_run_file(path)
    kinematics, colours = run_file.stages
    assert (run_file.name, run_file.seed, run_file.output) == ("production", 7, tmp_path / "production")
    assert run_file.table == tmp_path / "tables" / "galaxies.csv"
    assert run_file.ledger_url == f"sqlite:///{tmp_path}/production/ledger.sqlite"
    assert (kinematics.time_limit, kinematics.retries, kinematics.needs) == (60, {"unknown": 2}, ())
    assert kinematics.recipes == ({"runtime": {"sampler": "maxlike emcee"}},)
    assert kinematics.sections["KinDust"]["mask"] == str(tmp_path / "masks" / "all.txt")
    assert kinematics.sections["KinDust"]["inputSpectrum"] == "{spectrum}"
    assert colours.sections == {
        "function": {"call": "my.steps:colours"},
        "options": {"band": "g", "table": str(tmp_path / "tables" / "galaxies.csv")},
    }
    assert (run_file.site.name, run_file.site.workers) == ("laptop", 2)


def test_precedence(path):
    assert velscale(read_run_file(path)) == 70.0
    assert velscale(read_run_file(path, site="cluster")) == 60.0
    assert velscale(read_run_file(path, ["kinematics.KinDust.velscale=80"])) == 80
    assert velscale(read_run_file(path, ["KinDust.velscale=80", "KinDust.VELSCALE=90"])) == 90
    path.write_text(path.read_text().replace("options: {KinDust.velscale: 60.0}", ""))
    assert velscale(read_run_file(path, site="cluster")) == 50.0


def test_settings_of_entries_site_and_limits(path):
    words = ["seed=3", "site.workers=4", "targets.where=n_good > 0", "kinematics.stage.time_limit=5", "samples=none",
             "colours.band=r"]  # fmt: skip
    run_file = read_run_file(path, words)
    assert (run_file.seed, run_file.site.workers, run_file.samples) == (3, 4, "none")
    assert run_file.targets.where == "n_good > 0"
    assert run_file.stages[0].time_limit == 5
    assert run_file.stages[1].sections["options"]["band"] == "r"


def test_the_word_for_an_engine_is_a_site(path):
    assert read_run_file(path, site="serial").site.isolation == "none"
    path.write_text(path.read_text().replace("site: laptop", "site: {executor: local, scratch: /tmp, chunk: 3}"))
    run_file = read_run_file(path, ["site.chunk=4"], "serial")
    assert (run_file.site.executor, run_file.site.chunk, run_file.site.scratch) == ("serial", 4, "/tmp")


def test_the_resolved_file_reads_back_with_the_same_plan(path, tmp_path):
    run_file = read_run_file(path, ["seed=5", "kinematics.KinDust.velscale=80"])
    written = write_resolved(run_file)
    assert written == tmp_path / "production" / "run.yaml"
    again = read_run_file(written.parent)
    assert plan_of(again).hash == plan_of(run_file).hash
    assert again.stages == run_file.stages
    assert again.site == run_file.site.model_copy(update={"options": {}})
    assert (again.name, again.output, again.table) == (run_file.name, run_file.output, run_file.table)
    assert written.read_text().startswith("# ")
    assert str(path) in written.read_text()
    assert "seed=5 kinematics.KinDust.velscale=80" in written.read_text()


def test_the_resolved_file_is_left_alone_if_nothing_changes(path):
    written = write_resolved(read_run_file(path))
    before = written.read_text()
    again = write_resolved(read_run_file(written.parent))
    assert again.read_text() == before
    assert parse_yaml(before) == resolved_content(read_run_file(path))
    assert render_yaml(parse_yaml(before)) in before


def test_a_production_can_be_moved_with_the_inputs_inside(tmp_path):
    home = tmp_path / "production"
    path = write_production(home, RUN_FILE + "output: .\n")
    before = plan_of(read_run_file(write_resolved(read_run_file(path)).parent))
    (home).rename(tmp_path / "moved")
    after = read_run_file(tmp_path / "moved")
    assert plan_of(after).hash == before.hash
    assert after.table == tmp_path / "moved" / "tables" / "galaxies.csv"
    assert after.stages[0].sections["KinDust"]["mask"] == str(tmp_path / "moved" / "masks" / "all.txt")
    assert str(tmp_path) not in (tmp_path / "moved" / "run.yaml").read_text().partition("\nname")[2]


def test_a_pipeline_in_its_own_file(path, tmp_path):
    content = parse_yaml(path.read_text())
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "pipeline.yaml").write_text(render_yaml(content["pipeline"]))
    path.write_text(render_yaml({**content, "pipeline": "shared/pipeline.yaml"}))
    run_file = read_run_file(path)
    assert run_file.stages[0].sections["KinDust"]["mask"] == str(tmp_path / "shared" / "masks" / "all.txt")
    path.write_text(render_yaml({**content, "pipeline": "none.yaml"}))
    assert "No such file" in faults_of(path)[0]


def test_every_fault_is_in_one_report(path):
    text = path.read_text().replace('"{redshift}"', '"{redshit}"').replace("needs: []", "needs: [kinematic]")
    text = text.replace("seed: 7", "sede: 7\nresume: maybe\nledger: mysql://x")
    path.write_text(text.replace("site: laptop", "site: laptopp"))
    faults = "\n".join(faults_of(path))
    for part in (
        "unknown entry 'sede'; did you mean 'seed'?",
        "resume = 'maybe'",
        "expected sqlite or postgresql",
        "'kinematic', which is no stage; did you mean 'kinematics'?",
        "there is no site 'laptopp'; did you mean 'laptop'?",
    ):
        assert part in faults


def test_faults_between_table_and_pipeline(path):
    text = path.read_text().replace('"{redshift}"', '"{redshit}"')
    path.write_text(text.replace("identifier: name", "identifier: id"))
    faults = "\n".join(faults_of(path, "targets.where=n_god > 0", "targets.cross={n_good: [1, 2]}"))
    assert "[KinDust] redshift: there is no column 'redshit'" in faults
    assert "did you mean 'redshift'?" in faults
    assert "targets.identifier: there is no column 'id'" in faults
    assert "there is no column 'n_god'; did you mean 'n_good'?" in faults
    assert "the axis 'n_good' has the name of a column" in faults


@pytest.mark.parametrize(
    ("setting", "part"),
    [
        ("KinDusty.velscale=3", "no stage has a section 'KinDusty'; did you mean 'KinDust'?"),
        ("kinematics.emcee.walkers=3", ""),
        ("kinematics.polychord.x=3", "stage 'kinematics' has no section 'polychord'"),
        ("seeed=3", "unknown entry 'seeed'; did you mean 'seed'?"),
        ("site.worker=3", "did you mean 'workers'?"),
        ("seed=-1", "seed = -1"),
        ("seed=[1", "setting 'seed=[1', line 1, column 3"),
        ("targets.table=none.csv", "there is no file"),
        ("targets.table=survey.yaml", "expected a name that ends in .fits"),
        ("ledger=postgresql://me:secret@host/base", "~/.pgpass"),
        ("kinematics.output.filename=x", ""),
        ("kinematics.stage.time_limt=3", "did you mean 'time_limit'?"),
        ("kinematics.stage.retries={lots: 3}", "unknown class of error 'lots'; did you mean 'lost'?"),
        ("pre_script=none.sh", "pre_script: there is no file"),
        ("targets.where=__import__('os')", "targets.where: condition"),
    ],
)
def test_faults_of_settings(path, setting, part):
    if part:
        assert part in "\n".join(faults_of(path, setting))
    else:
        read_run_file(path, [setting])


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("kinematics:", "1kinematics:", "expected a name of letters"),
        ("runtime: {sampler: maxlike}", "", "section 'runtime' is missing"),
        ("call: \"my.steps:colours\"", "call: my.steps", "function.call = 'my.steps'"),
        ("recipes: [{runtime:", "recipes: [{runtim:", "recipe 1 has a section 'runtim'"),
        ("needs: []", "needs: colours", "needs 'colours', which is no stage"),
        ('"{spectrum}"', '"{spectrum"', "expected '}' before end of string"),
        ('"{spectrum}"', '"{spectrum.name}"', "there is no column 'spectrum.name'"),
        ("  colours:", "  kinematics:", "'kinematics' is given a second time"),
        ("  colours:", "  Kinematics:", "differ in capitals only"),
        ("pipeline: {modules: KinDust}", "pipeline: KinDust", "section 'pipeline': expected its options"),
        ("mask: masks/all.txt", "output: {}", ""),
    ],
)
def test_faults_of_the_pipeline(path, old, new, part):
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    if part:
        assert part in "\n".join(faults_of(path))
    else:
        read_run_file(path)


def test_variants_are_checked_and_resolved(path, tmp_path):
    cross = "{sfh: {one: {KinDust.mask: m.txt, kinematics.KinDust.SSPModel: '{ssp}'}, two: {KinDus.x: 1}}}"
    faults = "\n".join(faults_of(path, f"targets.cross={cross}"))
    assert "targets.cross.sfh.two: override 'KinDus.x'" in faults
    assert "there is no column 'ssp'" in faults
    run_file = read_run_file(path, ["targets.cross={sfh: {one: {KinDust.mask: m.txt}}}"])
    assert run_file.targets.cross["sfh"]["one"] == {"KinDust.mask": str(tmp_path / "m.txt")}
    again = read_run_file(write_resolved(run_file).parent)
    assert plan_of(again).hash == plan_of(run_file).hash


def test_files_in_the_options_of_a_site_stay_where_they_are(path, tmp_path):
    path.write_text(path.read_text().replace("max_blocks: 4}", "max_blocks: 4, options: {KinDust.mask: m.txt}}"))
    mask = str(tmp_path / "m.txt")
    assert read_run_file(path, site="cluster").stages[0].sections["KinDust"]["mask"] == mask
    production = write_resolved(read_run_file(path)).parent
    assert read_run_file(production, site="cluster").stages[0].sections["KinDust"]["mask"] == mask


def test_without_a_look_the_table_may_be_gone(path, tmp_path):
    (tmp_path / "tables" / "galaxies.csv").unlink()
    assert read_run_file(path, look=False).name == "production"
    assert "there is no file" in faults_of(path)[0]


@pytest.mark.parametrize("text", ["", "[1, 2]", "a: [1", "just words"])
def test_files_that_are_no_run_file(path, text):
    path.write_text(text)
    assert str(path) in faults_of(path)[0]


def test_functions_are_imported_from_beside_the_run_file(path, tmp_path, monkeypatch):
    import sys

    monkeypatch.setattr(sys, "path", list(sys.path))
    run_file = read_run_file(path)
    assert run_file.python_path == (str(tmp_path),)
    again = read_run_file(write_resolved(run_file).parent)
    assert again.python_path == (str(tmp_path),)
    plan_of(again).add_python_path()
    plan_of(again).add_python_path()
    assert sys.path.count(str(tmp_path)) == 1
    assert read_run_file(path, ["python_path=[steps]"]).python_path == (str(tmp_path / "steps"),)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("seed=3", True),
        ("kinematics.KinDust.velscale=70", True),
        ("handover.kinematics--los_vel=fix", True),
        ("NGC/seed=1", False),
        ("NGC*", False),
        ("select name from target where state='x'", False),
        ("a==3", False),
        ("=3", False),
    ],
)
def test_what_a_setting_looks_like(word, expected):
    from orchestrator.production.setting_words import is_setting

    assert is_setting(word) is expected
