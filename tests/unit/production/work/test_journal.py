"""The journal of a chunk: what was whole when its writer was killed is there, and nothing else."""

from __future__ import annotations

import errno
import logging
import os
import resource

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from work_orders import records_in

from orchestrator.errors import ProductionError
from orchestrator.production.columns import Column
from orchestrator.production.records import InputFile, Target, TaskOrder, TaskRecord, Work
from orchestrator.production.work.frames import arrays_of, blob_of
from orchestrator.production.work.journal import ColumnsFrame, Journal, RecordFrame, read_blob, read_journal
from orchestrator.production.work.record_text import record_from, record_to, work_from, work_to

COLUMNS = (Column("mass", "float", "dex(Msun)", "stellar mass", "Stars"), Column("n", "int"))


def a_record(number=1, **changes):
    entries = {"target_id": number, "stage": "colours", "attempt": 1, "recipe": 0, "outcome": "done", **changes}
    return TaskRecord(**entries)


def write(folder, records, blobs=None):
    journal = Journal(folder, "1-1")
    journal.declare("colours", COLUMNS)
    for index, record in enumerate(records):
        journal.append(record, b"" if blobs is None else blobs[index])
    return journal.close()


def test_what_was_written_comes_back(tmp_path):
    records = [
        a_record(1, key="abc", columns={"mass": 10.25, "n": 3, "name": "é", "ok": True, "nothing": None}),
        a_record(2, outcome="failed", error_class="crash", message="died\nhere", log="…", started=1.5, process=7),
        a_record(3, files=(InputFile("/a b", 5, 1234567890123456789, "0f"),)),
    ]
    path = write(tmp_path, records)
    assert path.name == "1-1.journal"
    frames = list(read_journal(path))
    assert frames[0] == ColumnsFrame("colours", COLUMNS)
    assert [frame.record for frame in frames[1:]] == records
    assert not list(tmp_path.glob("*.open"))


def test_what_is_not_finite_is_missing(tmp_path):
    path = write(tmp_path, [a_record(columns={"a": np.nan, "b": np.float32(1.5), "c": np.int64(3), "d": np.inf})])
    assert records_in(path)[0].columns == {"a": None, "b": 1.5, "c": 3, "d": None}


def test_columns_are_declared_once(tmp_path):
    journal = Journal(tmp_path, "1-1")
    journal.declare("colours", COLUMNS)
    journal.declare("colours", COLUMNS)
    journal.declare("colours", [*COLUMNS, Column("late", "bool")])
    frames = list(read_journal(journal.close()))
    assert [len(frame.columns) for frame in frames] == [2, 1]


def test_samples_are_skipped_unless_asked_for(tmp_path):
    arrays = {"chain": np.linspace(0, 1, 12).reshape(4, 3), "mask": np.array([True, False])}
    path = write(tmp_path, [a_record(1), a_record(2)], [b"", blob_of(arrays)])
    plain, with_samples = records_in(path)
    assert plain.samples == ""
    record, blob = read_blob(path, with_samples.samples)
    assert record.target_id == 2
    for name, array in arrays_of(blob).items():
        np.testing.assert_array_equal(array, arrays[name])
    whole = [frame.blob for frame in read_journal(path, with_blobs=True) if isinstance(frame, RecordFrame)]
    assert whole == [b"", blob]


def test_an_entry_that_is_none_says_so(tmp_path):
    path = write(tmp_path, [a_record(1)])
    with pytest.raises(ProductionError, match="no samples at entry '5'"):
        read_blob(path, "5")


def test_every_torn_tail_leaves_the_whole_frames(tmp_path, caplog):
    caplog.set_level(logging.ERROR)
    records = [a_record(number, columns={"n": number}) for number in range(4)]
    path = write(tmp_path, records, [b"x" * number for number in range(4)])
    data = path.read_bytes()
    n_before = -1
    for length in range(len(data) + 1):
        path.write_bytes(data[:length])
        found = records_in(path)
        assert [record.target_id for record in found] == list(range(len(found)))
        assert len(found) >= n_before, "more bytes never hold fewer records"
        n_before = len(found)
    assert n_before == 4


def test_going_on_after_any_cut_gives_the_same_journal(tmp_path, caplog):
    caplog.set_level(logging.ERROR)
    records = [a_record(number, columns={"n": number}) for number in range(3)]
    path = write(tmp_path, records)
    data = path.read_bytes()
    path.unlink()
    for length in range(0, len(data) + 1, 7):
        left = tmp_path / "1-1.open"
        left.write_bytes(data[:length])
        journal = Journal(tmp_path, "1-1")
        done = {record.target_id for record in journal.found}
        journal.declare("colours", COLUMNS)
        for record in records:
            if record.target_id not in done:
                journal.append(record)
        assert journal.close().read_bytes() == data


@given(place=st.integers(min_value=30, max_value=700), change=st.integers(min_value=1, max_value=255))
def test_a_changed_byte_is_never_a_wrong_record(tmp_path_factory, place, change):
    folder = tmp_path_factory.mktemp("journal")
    records = [a_record(number, columns={"n": number}) for number in range(3)]
    path = write(folder, records, [b"blob of one", b"", b"another blob"])
    data = bytearray(path.read_bytes())
    place = min(place, len(data) - 1)
    data[place] ^= change
    path.write_bytes(data)
    found = records_in(path)
    assert [(r.target_id, r.columns) for r in found] == [(r.target_id, r.columns) for r in records[: len(found)]]


def test_damage_in_the_middle_ends_the_reading_with_a_warning(tmp_path, caplog):
    path = write(tmp_path, [a_record(number) for number in range(3)])
    data = path.read_bytes()
    place = data.index(b'"target_id":1')
    path.write_bytes(data[:place] + b"X" + data[place + 1 :])
    assert [record.target_id for record in records_in(path)] == [0]
    assert "is damaged at byte" in caplog.text


def test_a_damaged_blob_is_found_when_it_is_read(tmp_path, caplog):
    path = write(tmp_path, [a_record(1)], [b"abcdefgh"])
    path.write_bytes(path.read_bytes().replace(b"abcdefgh", b"abcdefgX"))
    (record,) = records_in(path)
    with pytest.raises(ProductionError, match="checksum of a blob"):
        read_blob(path, record.samples)
    assert [f for f in read_journal(path, with_blobs=True) if isinstance(f, RecordFrame)] == []
    assert "is damaged" in caplog.text


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "x.journal"
    path.write_text("not a journal, but long enough to be one")
    with pytest.raises(ProductionError, match="is no journal"):
        list(read_journal(path))


def test_a_writer_that_lives_keeps_its_file(tmp_path):
    """An engine may give up a worker that still works; its chunk is then done a second time."""
    first, second = Journal(tmp_path, "1-1"), Journal(tmp_path, "1-1")
    first.append(a_record(1))
    second.append(a_record(2))
    assert [r.target_id for r in records_in(first.close())] == [1]
    path = second.close()
    assert path.name == "1-1+2.journal"
    assert [r.target_id for r in records_in(path)] == [2]


def test_a_full_disk_keeps_what_was_whole(tmp_path):
    journal = Journal(tmp_path, "1-1")
    journal.append(a_record(1))
    size = journal.path.stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    import signal

    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, hard))
    try:
        with pytest.raises(ProductionError, match=os.strerror(errno.EFBIG)):
            journal.append(a_record(2), b"x" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, old)
    assert journal.path.stat().st_size == size
    journal.append(a_record(3))
    assert [r.target_id for r in records_in(journal.close())] == [1, 3]


def test_work_travels_as_text():
    target = Target("a/b=1", {"redshift": 0.1, "row": 3}, {"kin.KinDust.velscale": 70})
    work = Work(5, target, (TaskOrder("kin"), TaskOrder("pop", 2, 1, 2.0)), {"x": "samples/a.journal#9"}, {"x": "k"})
    assert work_from(work_to(work)) == work
    assert record_from(record_to(a_record())) == a_record()
