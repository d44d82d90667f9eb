"""Shards hold what journals held, in less room."""

from __future__ import annotations

import h5py
import pytest
from stored_fits import a_stored_fit, assert_same_fit

from orchestrator.errors import ProductionError
from orchestrator.production.records import TaskRecord
from orchestrator.production.shards import pack, read_entry, shard_entries
from orchestrator.production.work.frames import blob_of
from orchestrator.production.work.journal import Journal, RecordFrame, read_journal
from orchestrator.production.work.samples import read_samples


def a_journal(folder, chunk, numbers, stages=("kinematics", "population")):
    journal = Journal(folder / "samples", chunk)
    for number in numbers:
        for stage in stages:
            record = TaskRecord(number, stage, 1, 0, "done", key=f"key{number}")
            journal.append(record, blob_of(a_stored_fit(number, stage).arrays()))
        journal.append(TaskRecord(number, "colours", 1, 0, "done", key="k"))
    path = journal.close()
    name = f"samples/{path.name}"
    return name, [f"{name}#{f.record.samples}" for f in read_journal(path) if isinstance(f, RecordFrame)
                  and f.record.samples]  # fmt: skip


def test_every_fit_is_found_at_its_new_reference(tmp_path):
    first, references = a_journal(tmp_path, "1-1", [1, 2])
    second, more = a_journal(tmp_path, "1-2", [3])
    packed = pack(tmp_path, [first, second], "samples/shard-00001.h5")
    assert list(packed.references) == references + more
    for old, new in packed.references.items():
        assert new.startswith("samples/shard-00001.h5#")
        assert_same_fit(read_samples(tmp_path, new), read_samples(tmp_path, old))
    assert len(shard_entries(tmp_path / packed.shard)) == 6
    assert not list((tmp_path / "samples").glob(".*")), "nothing half-written stays"


def test_texts_that_are_alike_take_little_room(tmp_path):
    name, _ = a_journal(tmp_path, "1-1", range(1, 30))
    packed = pack(tmp_path, [name], "samples/shard-1.h5")
    one, _ = a_journal(tmp_path, "1-2", [1])
    single = pack(tmp_path, [one], "samples/shard-2.h5")
    per_fit = packed.bytes_by_part["text"] / len(packed.references)
    assert per_fit < 0.5 * single.bytes_by_part["text"] / len(single.references) + 400
    assert packed.n_bytes < 1.1 * packed.n_bytes_before, "tiny fits: the structures of the file weigh"
    assert packed.bytes_per_fit == pytest.approx(packed.n_bytes / 58)


def test_the_same_result_twice_is_stored_once(tmp_path):
    first, _ = a_journal(tmp_path, "1-1", [1])
    second, _ = a_journal(tmp_path, "1-2", [1])
    packed = pack(tmp_path, [first, second], "samples/shard-1.h5")
    assert len(packed.references) == 4
    assert len(set(packed.references.values())) == 2


def test_only_what_is_wanted_is_packed(tmp_path):
    name, references = a_journal(tmp_path, "1-1", [1, 2])
    packed = pack(tmp_path, [name], "samples/shard-1.h5", wanted=references[:1])
    assert list(packed.references) == references[:1]


def test_a_shard_is_never_written_over(tmp_path):
    name, _ = a_journal(tmp_path, "1-1", [1])
    pack(tmp_path, [name], "samples/shard-1.h5")
    with pytest.raises(ProductionError, match="exists already"):
        pack(tmp_path, [name], "samples/shard-1.h5")


def test_a_failure_leaves_no_shard(tmp_path):
    name, _ = a_journal(tmp_path, "1-1", [1])
    (tmp_path / "samples" / "other.journal").write_text("this is another kind of file altogether")
    with pytest.raises(ProductionError, match="no journal"):
        pack(tmp_path, [name, "samples/other.journal"], "samples/shard-1.h5")
    assert [file.name for file in (tmp_path / "samples").iterdir() if file.suffix != ".journal"] == []


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("samples/shard-1.h5#1/kinematics/other", "no samples at '1/kinematics/other'"),
        ("samples/shard-9.h5#1/kinematics/key1", "are gone"),
        ("samples/1-1.journal#77", "no samples at entry '77'"),
    ],
)
def test_a_reference_that_leads_nowhere_says_so(tmp_path, reference, message):
    name, _ = a_journal(tmp_path, "1-1", [1])
    pack(tmp_path, [name], "samples/shard-1.h5")
    with pytest.raises(ProductionError, match=message):
        read_samples(tmp_path, reference)


def test_a_damaged_shard_says_so(tmp_path):
    name, _ = a_journal(tmp_path, "1-1", [1])
    packed = pack(tmp_path, [name], "samples/shard-1.h5")
    path = tmp_path / packed.shard
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ProductionError, match="has no samples"):
        read_entry(path, "1/kinematics/key1")


def test_other_programs_can_read_it(tmp_path):
    name, _ = a_journal(tmp_path, "1-1", [4])
    packed = pack(tmp_path, [name], "samples/shard-1.h5")
    with h5py.File(tmp_path / packed.shard) as file:
        assert file["fits/4/population/key4/chain"].shape == (20, 5)
        assert file["fits/4/population/key4/models/Toy/flux"].shape == (400,)
