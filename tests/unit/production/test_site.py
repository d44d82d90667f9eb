from __future__ import annotations

import pytest
from pydantic import ValidationError

from orchestrator.errors import ConfigError
from orchestrator.production.site import make_site, walltime_seconds


def test_a_word_is_a_site():
    assert make_site("slurm").executor == "slurm"
    assert make_site({}).executor == "local"


@pytest.mark.parametrize(("executor", "isolation"), [("serial", "none"), ("local", "process"), ("slurm", "process")])
def test_isolation_follows_from_the_engine_unless_given(executor, isolation):
    assert make_site(executor).isolation == isolation
    assert make_site({"executor": executor, "isolation": "process"}).isolation == "process"


def test_a_factory_is_an_engine():
    assert make_site({"executor": "my.package:open_client"}).executor == "my.package:open_client"


@pytest.mark.parametrize(
    ("text", "seconds"), [("01:30:00", 5400), ("00:05", 300), ("1-00:00:10", 86410), ("100:00:00", 360000)]
)
def test_wall_times(text, seconds):
    assert walltime_seconds(text) == seconds


def test_a_wall_time_in_seconds_becomes_text():
    assert make_site({"walltime": 36000}).walltime == "10:00:00"
    assert make_site({"walltime": 61}).walltime == "00:01:01"


def test_every_fault_is_told_with_the_nearest_name():
    with pytest.raises(ConfigError) as caught:
        make_site({"executer": "local", "workers": True, "chunk": 0, "walltime": "long", "mpi_command": "mpiexec"})
    text = "\n".join(caught.value.faults)
    assert len(caught.value.faults) == 5
    for part in ("did you mean 'executor'?", "site.workers = True", "site.chunk = 0", "HH:MM:SS", "{ranks}"):
        assert part in text


def test_an_unknown_engine_is_refused():
    with pytest.raises(ConfigError, match="did you mean 'slurm'"):
        make_site("slrum")
    with pytest.raises(ConfigError, match="expected an engine"):
        make_site(3)


def test_a_wall_time_that_leaves_no_time_for_fits_is_refused():
    short = {"executor": "slurm", "walltime": "00:02:00"}
    with pytest.raises(ConfigError, match="no target would be begun"):
        make_site(short)
    assert make_site({**short, "stop_before_end": 30}).walltime_seconds == 120
    assert make_site({**short, "executor": "local"}).walltime_seconds == 120


def test_a_site_is_frozen():
    with pytest.raises(ValidationError):
        make_site({}).workers = 3


def test_slots_and_chunks(monkeypatch):
    assert make_site("serial").n_slots == 1
    assert make_site({"workers": 5}).n_slots == 5
    blocks = {"executor": "slurm", "max_blocks": 3, "nodes_per_block": 2, "workers_per_node": 4}
    assert make_site(blocks).n_slots == 24
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", "3")
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "8")
    assert make_site("allocation").n_slots == 24
    assert make_site({"chunk": 7}).fixed_chunk == 7
    assert make_site({}).fixed_chunk is None
