"""How many threads an engine computes with: decided on simulated machines, and done beside real neighbours."""

from __future__ import annotations

import itertools
import resource
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollama.runners.llamacpp.threads import (
    Sample,
    ThreadCount,
    ThreadGovernor,
    Window,
    between,
    kernel_counts,
    sample,
)

WINDOW = 0.25
MINUTE = round(60 / WINDOW)


class Machine:
    """Cores that a scheduler shares fairly between the engines on it and ``neighbours``, which are always busy."""

    def __init__(self, cores: int, engines: Sequence[ThreadCount], neighbours: float = 0.0) -> None:
        self.cores = cores
        self.engines = engines
        self.neighbours = neighbours
        self._now = 0.0

    def window(self, engine: ThreadCount) -> Window:
        """Return what ``engine`` sees."""
        wanted = sum(engine.current for engine in self.engines) + self.neighbours
        ran = engine.current * min(1.0, self.cores / wanted)
        return Window(
            end=self._now,
            elapsed=WINDOW,
            computing=WINDOW,
            ran=ran * WINDOW,
            waited=(engine.current - ran) * WINDOW,
            idle=max(0.0, self.cores - wanted) * WINDOW,
        )

    def run(self, windows: int) -> list[tuple[int, ...]]:
        """Let the engines judge one after the other, so many times; return the numbers after each round."""
        counts = []
        for _ in range(windows):
            self._now += WINDOW
            for engine in self.engines:
                engine.judge(self.window(engine))
            counts.append(tuple(engine.current for engine in self.engines))
        return counts


cores = st.integers(1, 64)
phases = st.lists(st.floats(0, 80, allow_nan=False) | st.integers(0, 80), min_size=1, max_size=4)


@given(cores, st.integers(1, 96), phases)
def test_an_engine_settles_whatever_comes_and_goes(cores: int, most: int, phases: list[float]) -> None:
    count = ThreadCount(most)
    machine = Machine(cores, [count])
    for machine.neighbours in phases:
        seen = [number for (number,) in machine.run(2 * MINUTE)]
        assert all(1 <= number <= most for number in seen)
        assert set(seen[MINUTE:]) == {count.current}
        window = machine.window(count)
        assert count.current == 1 or window.missing < 0.3
        assert count.current == most or window.available - count.current < 0.7


@given(cores, st.integers(1, 64))
def test_cores_that_neighbours_leave_are_taken_within_seconds(cores: int, neighbours: int) -> None:
    count = ThreadCount(cores)
    machine = Machine(cores, [count], neighbours)
    machine.run(MINUTE)
    machine.neighbours = 0
    machine.run(12)
    assert count.current == cores


@given(cores, st.integers(2, 6))
def test_engines_on_the_same_cores_share_them(cores: int, engines: int) -> None:
    machine = Machine(cores, [ThreadCount(cores) for _ in range(engines)])
    *_, before, last = machine.run(2 * MINUTE)
    assert before == last
    assert sum(last) >= cores
    assert all(number == 1 or machine.window(ThreadCount(number)).missing < 0.3 for number in last)


def test_one_core_taken_of_two() -> None:
    count = ThreadCount(2)
    machine = Machine(2, [count], neighbours=1)
    assert machine.run(3) == [(1,), (1,), (1,)]
    machine.neighbours = 0
    assert machine.run(2) == [(2,), (2,)]


def test_threads_fall_by_as_many_as_cores_are_missing() -> None:
    machine = Machine(16, [ThreadCount(16)], neighbours=8)
    assert machine.run(3) == [(11,), (9,), (8,)]


def test_cores_that_rest_with_the_engine_are_not_free() -> None:
    count = ThreadCount(2)
    count.judge(Window(end=1, elapsed=1, computing=1, ran=1, waited=1, idle=0))
    assert count.current == 1
    resting = Window(end=11, elapsed=10, computing=1, ran=1, waited=0, idle=9)
    assert resting.available == 1
    assert count.judge(resting) == 1
    assert count.judge(Window(end=21, elapsed=10, computing=1, ran=1, waited=0, idle=19)) == 2


class Quota(Machine):
    """A machine with idle cores of which the engine may use only two at a time, as under a control group."""

    def window(self, engine: ThreadCount) -> Window:
        ran = min(2, engine.current) * WINDOW
        waited = engine.current * WINDOW - ran
        return Window(
            end=self._now, elapsed=WINDOW, computing=WINDOW, ran=ran, waited=waited, idle=self.cores * WINDOW - ran
        )


def test_raises_that_do_not_last_become_rare() -> None:
    count = ThreadCount(8)
    machine = Quota(8, [count])
    counts = [number for (number,) in machine.run(10 * MINUTE)]
    tries = [index * WINDOW for index, number in enumerate(counts) if number > 2][1:]
    gaps = [later - earlier for earlier, later in itertools.pairwise(tries) if later - earlier > 1]
    assert gaps == sorted(gaps)
    assert gaps[0] < 5
    assert gaps[-1] >= 60
    assert len(gaps) < 16


def test_only_the_threads_that_compute_count() -> None:
    before = Sample(at=10.0, threads={1: (5, 5), 2: (0, 0), 3: (9, 9)}, idle=100.0)
    after = Sample(
        at=12.0,
        threads={1: (1_000_000_005, 5), 2: (100_000_000, 1_500_000_000), 4: (300_000_000, 0)},  # 3 has ended, 4 is new
        idle=100.5,
    )
    window = between(before, after, computing=1.5, threads=2)
    assert window == Window(end=12.0, elapsed=2.0, computing=1.5, ran=1.1, waited=1.5, idle=0.5)
    assert window.missing == 1.0
    assert window.available == 0.8
    assert between(before, after, computing=1.5, threads=3).ran == pytest.approx(1.4)


def test_samples_are_read_as_the_kernel_writes_them(tmp_path: Path) -> None:
    for task, text in {"70": "123 45 6\n", "71": "8 9 1\n"}.items():
        (tmp_path / "task" / task).mkdir(parents=True)
        (tmp_path / "task" / task / "schedstat").write_text(text)
    (tmp_path / "task" / "72").mkdir()  # has just ended
    statistics = tmp_path / "stat"
    statistics.write_text(
        "cpu  9 9 9 9000 9 0 0 0 0 0\ncpu0 1 1 1 100 50 1 1 1 1 1\ncpu1 1 1 1 900 1 1 1 1 1 1\n"
        "cpu2 1 1 1 200 0 0 0 0 0 0\nintr 5 5 5 5 5 5\n"
    )
    found = sample([0, 2], tmp_path / "task", statistics)
    assert found.threads == {70: (123, 45), 71: (8, 9)}
    assert found.idle == 3.5


class Counted:
    """Something that has computed for a second."""

    busy_seconds = 1.0
    threads = 0

    def use_threads(self, count: int) -> None:
        self.threads = count


@pytest.mark.skipif(not kernel_counts(), reason="needs a kernel that counts how long threads wait")
def test_an_engine_goes_on_where_nothing_can_be_read() -> None:
    counted = Counted()
    governor = ThreadGovernor(2, lambda: [counted])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        governor.after_step()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert counted.threads == 0
    governor.after_step()
    assert counted.threads == governor.current > 0


@pytest.mark.parametrize(("text", "counts"), [("120 4 2\n", True), ("0 0 0\n", False), (None, False)])
def test_kernels_that_count_are_told_from_those_that_do_not(tmp_path: Path, text: str | None, counts: bool) -> None:
    if text is not None:
        (tmp_path / "schedstat").write_text(text)
    assert kernel_counts(tmp_path / "schedstat") is counts
