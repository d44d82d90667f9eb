from __future__ import annotations

import os
from concurrent.futures.process import BrokenProcessPool

import pytest

from orchestrator.fit.fork_pool import ForkPool

STATE = {"value": 0}


def square(x):
    return x * x


def process_of(_):
    return os.getpid()


def state(_):
    return STATE["value"]


def die(x):
    if x == 3:
        os._exit(1)
    return x


def fail(x):
    msg = f"no {x}"
    raise ValueError(msg)


@pytest.fixture
def pool():
    pool = ForkPool(2)
    yield pool
    pool.close()


def test_results_come_in_order(pool):
    assert pool.map(square, range(7)) == [x * x for x in range(7)]
    assert pool.map(square, []) == []


def test_workers_persist_and_are_not_this_process(pool):
    first, second = set(pool.map(process_of, range(8))), set(pool.map(process_of, range(8)))
    assert os.getpid() not in first
    assert second <= first or len(first | second) <= 2


def test_workers_see_the_state_at_the_first_map_after_close(pool):
    STATE["value"] = 1
    assert pool.map(state, range(2)) == [1, 1]
    STATE["value"] = 2
    pool.close()
    assert pool.map(state, range(2)) == [2, 2]


def test_a_worker_that_dies_raises(pool):
    with pytest.raises(BrokenProcessPool):
        pool.map(die, range(8))


def test_an_exception_in_a_worker_arrives(pool):
    with pytest.raises(ValueError, match="no 0"):
        pool.map(fail, range(2))


def test_duck_type_of_a_cosmosis_pool(pool):
    assert pool.is_master()
    assert (pool.size, pool.rank, pool.allreduce(5), pool.bcast(6), pool.gather(7)) == (2, 0, 5, 6, [7])
