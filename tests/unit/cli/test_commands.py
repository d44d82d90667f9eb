from __future__ import annotations

import csv
import json
import subprocess
import sys

import pytest


def states(command, *words, code=1):
    status = command.json("status", *words, code=code)
    return {stage["stage"]: stage["counts"] for stage in status["stages"]}


def test_run_tells_how_it_ended_and_goes_on(command):
    text = command("run", code=1)
    assert "4 of 6 tasks done (67 %), 1 failed, 1 blocked" in text
    assert "the lamp went out" in text
    (command.folder / "galaxies.csv").write_text("name,g,r\nNGC 1,18.0,17.5\nNGC 2,18.0,17.0\nIC 3,19.0,17.0\n")
    assert "6 of 6 tasks done (100 %)" in command("run")


def test_a_faulty_run_file_is_wrong_usage(command):
    text = command("run", "colour.offste=3", "sede=3", "site.worker=2", code=2)
    assert "Traceback" not in text
    for part in ("did you mean 'seed'?", "did you mean 'workers'?"):
        assert part in text


def test_check(command):
    assert "3 targets, stages colour, class" in command("check")
    assert command.json("check")["n_targets"] == 3
    text = command("check", "colour.function.call=small_steps_of_cli:colur", code=2)
    assert "stage 'colour'" in text
    assert "cannot be imported" in text
    assert "not for single targets" in command("check", "NGC", code=2)


def test_dry_run_before_the_first_run_writes_nothing(command):
    preview = command.json("run", "--dry-run", "--stage", "colour")
    assert preview["counts"] == {"colour": 3}
    assert not (command.folder / "production").exists()
    assert "would run: 3 of colour, 3 of class" in command("run", "--dry-run")


def test_status_of_stages_and_of_tasks(command, production):
    assert states(command) == {"colour": {"done": 2, "failed": 1}, "class": {"done": 2, "blocked": 1}}
    text = command("status", code=1)
    assert "stage" in text
    assert "NGC 1" not in text
    assert "the lamp went out" in text
    text = command("status", "NGC*", "--stage", "colour")
    assert text.count("NGC") == 2
    assert "\x1b" not in text
    assert states(command, "--where", "g < 90", code=0) == {"colour": {"done": 2}, "class": {"done": 2}}
    assert states(command, "--state", "failed") == {"colour": {"failed": 1}, "class": {}}


def test_status_from_inside_and_from_the_run_file(command, production, monkeypatch):
    monkeypatch.chdir(production / "plan")
    assert "4 of 6 tasks" in command("status", code=1)
    assert "4 of 6 tasks" in command("status", production, code=1)
    assert "4 of 6 tasks" in command("status", command.folder / "survey.yaml", code=1)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("status", "--stage", "colur"), "did you mean 'colour'?"),
        (("status", "--state", "broken"), "There is no state 'broken'"),
        (("status", "--where", "colour.gr > 1"), "did you mean 'g_r'?"),
        (("status", "seed=3"), "takes no setting"),
        (("status", "--limit", "0"), "--limit"),
        (("status", "--watch", "--json"), "--watch"),
        (("status", "a.yaml", "b.yaml"), "expected one production"),
        (("status", "none.yaml"), "cannot read"),
        (("sql",), "expected one statement"),
        (("export",), "expected one file"),
        (("retry", "NGC 1", "colour.offset=1"), "changes the option of every target"),
        (("update", "NGC 1"), "not for single targets"),
        (("run", "--site", "clutser"), "did you mean 'cluster'?"),
    ],
)
def test_wrong_usage(command, production, words, part):
    assert part in " ".join(command(*words, code=2).replace("│", " ").split())


def test_a_folder_without_a_production(command, monkeypatch, tmp_path):
    assert "start it with: orchestrator run" in " ".join(command("status", code=2).replace("│", " ").split())
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert "not inside a production" in " ".join(command("status", code=2).replace("│", " ").split())


def test_show(command, production):
    text = command("show", "NGC 2", "--stage", "colour")
    assert "colour: done" in text
    assert "g_r" in text
    assert "orchestrator.production.alone" in text
    assert "class" not in text
    (story,) = command.json("show", "IC 3")
    failed, blocked = story["stages"]
    assert (failed["state"], blocked["state"]) == ("failed", "blocked")
    assert failed["attempts"][0]["message"] == "RuntimeError: the lamp went out"
    assert "RuntimeError: the lamp went out" in command("show", "IC 3", "--log")
    assert "no target fits" in command("show", "M 31", code=1)


def test_the_command_that_repeats_a_stage_alone(command, production):
    (story,) = command.json("show", "NGC 2", "--stage", "class")
    done = subprocess.run(
        story["stages"][0]["command"], shell=True, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"is_red": True}


def test_why(command, production):
    (why,) = command.json("why", "NGC 2")
    assert [stage["verdict"] for stage in why["stages"]] == ["current", "current"]
    (why,) = command.json("why", "IC 3")
    assert [stage["verdict"] for stage in why["stages"]] == ["failed", "missing"]
    assert "a stage that it needs has failed" in why["stages"][1]["sentence"]


def test_why_with_a_setting_says_what_would_become_stale(command, production):
    (why,) = command.json("why", "NGC 2", "colour.offset=0.75")
    colour, kind = why["stages"]
    assert (colour["verdict"], colour["changes"]) == ("stale", ["[options]: offset"])
    assert (kind["verdict"], kind["changes"]) == ("stale", ["upstream: colour is stale"])
    (why,) = command.json("why", "NGC 2", "class.stage.time_limit=5")
    assert {stage["verdict"] for stage in why["stages"]} == {"current"}


def test_why_after_the_next_run_has_found_it_stale(command, production):
    command("update", "colour.offset=0.75")
    (why,) = command.json("why", production, "NGC 2")
    colour, kind = why["stages"]
    assert (colour["state"], colour["verdict"], colour["changes"]) == ("ready", "stale", ["[options]: offset"])
    assert (kind["state"], kind["verdict"]) == ("waiting", "stale")
    command("run", production, code=1)
    (why,) = command.json("why", production, "NGC 2")
    assert [stage["verdict"] for stage in why["stages"]] == ["current", "current"]


def test_why_tells_a_changed_row_and_a_changed_file(command):
    table = (command.folder / "galaxies.csv").read_text()
    (command.folder / "note.txt").write_text("one")
    words = ("targets.where=g < 90", "class.note=note.txt")
    command("run", *words)
    (command.folder / "note.txt").write_text("two")
    (why,) = command.json("why", "production", "NGC 1")
    colour, kind = why["stages"]
    assert colour["verdict"] == "current"
    assert (kind["verdict"], kind["changes"]) == ("stale", ["[options]: note"])
    (command.folder / "galaxies.csv").write_text(table.replace("17.5", "17.6"))
    command("update", *words)
    (why,) = command.json("why", "production", "NGC 1")
    assert why["stages"][0]["verdict"] == "stale"
    assert "its row in the table" in why["stages"][0]["changes"][0]


def test_changed_options_are_done_again_and_nothing_else(command, production):
    preview = command.json("run", "--dry-run", "class.remark=x")
    assert preview["counts"]["class"] >= 2
    assert preview["counts"]["colour"] == 0
    command("run", "class.remark=x", code=1)
    attempts = command("sql", "select stage, count(*) n from attempt join task using (task_id) group by stage")
    assert attempts.split() == ["stage", "n", "class", "4", "colour", "3"]


def test_update_adds_new_rows(command, production):
    with (command.folder / "galaxies.csv").open("a") as stream:
        stream.write("NGC 4,20.0,19.0\n")
    assert "1 new target" in command("update", "--dry-run")
    assert states(command)["colour"] == {"done": 2, "failed": 1}
    assert "1 new target" in command("update")
    assert states(command)["colour"] == {"ready": 1, "done": 2, "failed": 1}


def test_retry(command, production):
    assert "1 of colour" in command("retry", "--dry-run")
    assert states(command)["colour"] == {"done": 2, "failed": 1}
    assert command("retry", "NGC*").startswith("0 tasks")
    assert command("retry").startswith("1 task is ready")
    assert states(command, code=0)["colour"] == {"ready": 1, "done": 2}


def test_export(command, production):
    assert "2 rows" in command("export", "red.csv", "--stage", "class", "--columns", "target,is_red")
    rows = list(csv.DictReader((command.folder / "red.csv").read_text().splitlines()))
    assert [row["target"] for row in rows] == ["NGC 1", "NGC 2"]
    assert "is there already" in command("export", "red.csv", code=1)
    command("export", production, "red.csv", "--overwrite")
    assert "class_is_red" in (command.folder / "red.csv").read_text()


def test_sql_is_read_only(command, production):
    assert command.json("sql", "select name from target where name='IC 3'") == [{"name": "IC 3"}]
    assert "NGC 1" in command("sql", production, "select name from target order by 1", "--limit", "2")
    assert "error" in command("sql", "delete from target", code=1)
    assert states(command)["colour"] == {"done": 2, "failed": 1}


def test_submit_writes_scripts(command, production):
    text = command("submit", "--site", "cluster", "--dry-run")
    script = (production / "scripts" / "run.slurm").read_text()
    assert "--account=science" in script
    assert "--time=00:30:00" in script
    assert "submit it with: sbatch" in text


def test_status_is_quick_to_start(command, production):
    """No numpy, no astropy, no rich: only what reading the ledger needs."""
    code = (
        "import sys; sys.argv = ['orchestrator', 'status']\n"
        "from orchestrator.cli.main import app\n"
        "try: app()\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'astropy', 'scipy', 'rich', 'cosmosis', 'h5py', 'yaml', 'matplotlib', 'numba'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=production, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stdout + done.stderr
