"""Chunks last about the time that was asked for, and nobody is left idle at the end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.production.chunking import ChunkSize, split
from orchestrator.production.records import Target, Work


def works(n, alone=()):
    return [Work(i, Target(str(i)), (), alone=i in alone) for i in range(n)]


@given(st.integers(0, 60), st.sets(st.integers(0, 59)), st.integers(1, 20))
def test_a_split_keeps_every_target_once_and_the_lonely_alone(n, alone, size):
    chunks = split(works(n, alone), size)
    assert sorted(work.target_id for chunk in chunks for work in chunk) == list(range(n))
    assert all(len(chunk) == 1 for chunk in chunks if any(work.alone for work in chunk))
    assert all(len(chunk) <= size for chunk in chunks)


def test_the_size_settles_at_the_wanted_time():
    size = ChunkSize(seconds=20.0)
    for _ in range(30):
        n = size.next(10**6, 4)
        size.measured(n, 0.25 * n)
    assert 70 <= size.next(10**6, 4) <= 90


def test_the_size_grows_step_by_step_from_a_small_start():
    size = ChunkSize(seconds=20.0)
    first = size.next(10**6, 4)
    size.measured(first, 1e-3 * first)
    assert first <= 4
    assert first < size.next(10**6, 4) <= 4 * first


def test_the_last_targets_are_shared_out():
    size = ChunkSize(seconds=1000.0, per_target=0.1)
    assert size.next(n_waiting=8, n_slots=4) == 1


def test_a_number_that_the_user_chose_holds():
    assert ChunkSize(seconds=20.0, fixed=7, per_target=100.0).next(3, 4) == 7
