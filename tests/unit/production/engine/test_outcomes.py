"""The flight of orders: never more than the window, none lost from sight."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor

import pytest

from orchestrator.production.engine.executors import Serial
from orchestrator.production.engine.lost import ChunkLost, EngineLost, is_lost
from orchestrator.production.engine.outcomes import outcomes

pytestmark = pytest.mark.timeout(30)


def square(number: int) -> int:
    if number < 0:
        msg = f"negative: {number}"
        raise ValueError(msg)
    return number**2


class Held(Executor):
    """Futures that the test finishes by hand."""

    def __init__(self) -> None:
        self.futures: list[Future] = []
        self.message = ""

    def submit(self, function, /, *args, **kwargs) -> Future:
        future: Future = Future()
        future.set_running_or_notify_cancel()
        self.futures.append(future)
        return future

    def fault(self) -> str:
        return self.message


def test_every_order_comes_back_with_its_outcome():
    with ThreadPoolExecutor(3) as executor:
        found = dict(outcomes(executor, square, range(-1, 50), window=lambda: 7))
    assert isinstance(found.pop(-1), ValueError)
    assert found == {n: n**2 for n in range(50)}


def test_the_window_is_never_exceeded_and_may_grow():
    held, size, handed_out = Held(), 2, []

    def orders():
        for n in range(20):
            handed_out.append(n)
            yield n

    flow = outcomes(held, square, orders(), window=lambda: size)
    threading.Timer(0.1, lambda: held.futures[1].set_result(1)).start()
    assert next(flow) == (1, 1)
    assert handed_out == [0, 1]
    size = 5
    threading.Timer(0.1, lambda: held.futures[0].set_result(0)).start()
    assert next(flow) == (0, 0)
    assert handed_out == [0, 1, 2, 3, 4, 5]


def test_a_serial_engine_yields_each_result_before_the_next_order_is_made():
    events = []

    def orders():
        for n in range(3):
            events.append(f"order {n}")
            yield n

    for n, _ in outcomes(Serial(), square, orders(), window=lambda: 100):
        events.append(f"result {n}")
    assert events == ["order 0", "result 0", "order 1", "result 1", "order 2", "result 2"]


def test_a_stop_calls_off_what_has_not_begun_and_waits_for_the_rest():
    begun, release = threading.Event(), threading.Event()

    def work(number: int) -> int:
        begun.set()
        assert release.wait(20)
        return number

    found = {}
    with ThreadPoolExecutor(1) as executor:
        for number, outcome in outcomes(executor, work, range(100), window=lambda: 4, stop=begun.is_set):
            found[number] = outcome
            if isinstance(outcome, ChunkLost):  # the first order is at work until now
                release.set()
    assert found.pop(0) == 0
    assert sorted(found) == list(range(1, len(found) + 1))
    assert all(is_lost(outcome) for outcome in found.values())


def test_patience_ends():
    held, stop = Held(), False
    flow = outcomes(held, square, range(10), window=lambda: 3, stop=lambda: stop, patience=0.2)
    threading.Timer(0.1, lambda: held.futures[2].set_result(4)).start()
    assert next(flow) == (2, 4)
    stop = True
    begun = time.monotonic()
    left = dict(flow)
    assert time.monotonic() - begun < 3
    assert sorted(left) == [0, 1]
    assert all(isinstance(outcome, ChunkLost) for outcome in left.values())


def test_an_engine_that_is_gone_is_noticed_with_what_was_in_flight():
    held = Held()
    held.message = "the interchange is gone"
    with pytest.raises(EngineLost, match="interchange is gone") as caught:
        list(outcomes(held, square, range(10), window=lambda: 3))
    assert caught.value.orders == (0, 1, 2)


def test_an_engine_that_says_so_through_a_future_is_gone_too():
    held = Held()
    threading.Timer(0.1, lambda: held.futures[1].set_exception(EngineLost("no blocks"))).start()
    with pytest.raises(EngineLost, match="no blocks") as caught:
        list(outcomes(held, square, range(2), window=lambda: 3))
    assert caught.value.orders == (0, 1)


def test_an_executor_that_takes_no_more_work_is_gone():
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    with pytest.raises(EngineLost, match="takes no more work") as caught:
        list(outcomes(executor, square, range(2), window=lambda: 2))
    assert caught.value.orders == (0,)


def test_no_orders_no_outcomes():
    assert list(outcomes(Serial(), square, [], window=lambda: 2)) == []
