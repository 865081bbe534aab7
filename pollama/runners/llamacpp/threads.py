"""How many threads an engine computes with: as many as it may have, fewer while other programs want the cores.

The threads of an engine meet after every operation, hundreds of times in a step. When one of them has to wait for a
processor, all wait for it, and a step on two threads takes longer than on one. Linux tells how long each thread waited
(``/proc/PID/task/TID/schedstat``) and how long each core had nothing to do (``/proc/stat``).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

_TASKS: Final = Path("/proc/self/task")
_CORES: Final = Path("/proc/stat")
_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")

_WINDOW: Final = 0.25
"""Seconds of computing after which the number is judged again."""
_MISSING: Final = 0.3
"""Cores that the threads lack before there is one thread less."""
_ROOM: Final = 0.7
"""Cores that must be free before there is one thread more."""
_TRIAL: Final = 8
"""Windows that a raise has to last."""
_SHORTEST_PAUSE: Final = 2.0
_LONGEST_PAUSE: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What the kernel has counted until ``at`` (monotonic seconds).

    ``threads`` maps the threads of this process to the nanoseconds that they ran, and that they waited to run;
    ``idle`` is the seconds that the cores on which they may run had nothing to do, all together.
    """

    at: float
    threads: Mapping[int, tuple[int, int]]
    idle: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """``elapsed`` seconds until ``end`` (monotonic), of which the engine computed ``computing``.

    ``ran`` and ``waited`` are what its threads spent on a processor and waiting for one, ``idle`` what the cores had
    nothing to do, each added up.
    """

    end: float
    elapsed: float
    computing: float
    ran: float
    waited: float
    idle: float

    @property
    def missing(self) -> float:
        """Cores that the threads lacked while they computed."""
        return self.waited / self.computing

    @property
    def available(self) -> float:
        """Cores that the threads had or could have had. Where they had nothing to compute, theirs were idle."""
        return (self.idle + self.ran) / self.elapsed


class ThreadCount:
    """Decides on a number of threads, 1 to ``most``, window by window.

    It falls at once by as many threads as cores are missing, and rises into half of what is free, so that several
    engines on the same cores do not all take the same room. When a raise does not last, the next one is put off, twice
    as long each time.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.current = most
        self._trial = 0
        self._pause = 0.0
        self._raise_at = 0.0

    def judge(self, window: Window) -> int:
        """Return the number for the next window."""
        room = window.available - self.current
        if self.current > 1 and window.missing >= _MISSING:
            self._lower(round(window.missing), window.end)
        elif self.current < self._most and room >= _ROOM and window.end >= self._raise_at:
            self._raise(int(room / 2))
        else:
            self._hold()
        return self.current

    def _lower(self, by: int, now: float) -> None:
        if self._trial:
            self._pause = min(_LONGEST_PAUSE, max(_SHORTEST_PAUSE, 2 * self._pause))
            self._raise_at = now + self._pause
            self._trial = 0
        self.current = max(1, self.current - max(1, by))

    def _raise(self, by: int) -> None:
        self.current = min(self._most, self.current + max(1, by))
        self._trial = _TRIAL

    def _hold(self) -> None:
        if self._trial:
            self._trial -= 1
            self._pause = self._pause if self._trial else 0.0


class Computer(Protocol):
    """What computes with a number of threads: a context."""

    @property
    def busy_seconds(self) -> float:
        """Time spent computing."""
        ...

    def use_threads(self, count: int) -> None:
        """Compute with so many threads from now on."""
        ...


class ThreadGovernor:
    """Keeps the number of threads of one engine; where the kernel counts nothing, it stays at ``most``.

    ``computers`` gives what the engine computes with: its threads do one thing at a time.
    """

    def __init__(self, most: int, computers: Callable[[], Sequence[Computer]]) -> None:
        self._count = ThreadCount(most)
        self._computers = computers
        self._computed = 0.0
        self._cores = os.sched_getaffinity(0) if most > 1 and kernel_counts() else set()
        self._before = sample(self._cores) if self._cores else None

    @property
    def current(self) -> int:
        """The number of threads in use."""
        return self._count.current

    def after_step(self) -> None:
        """Judge the number anew when there is enough to go by. Call it where nothing is computed."""
        if self._before is None:
            return
        computers = self._computers()
        computed = sum(computer.busy_seconds for computer in computers)
        if computed - self._computed < _WINDOW:
            return
        try:
            now = sample(self._cores)
        except OSError:  # without a free descriptor, say: that must not end the engine, and the next step tries again
            return
        count = self._count.judge(between(self._before, now, computed - self._computed, self.current))
        for computer in computers:
            computer.use_threads(count)
        self._before, self._computed = now, computed


def kernel_counts(statistics: Path = Path("/proc/self/schedstat")) -> bool:
    """Tell whether threads can be seen waiting here: only on Linux, and not in every container."""
    try:
        return any(map(int, statistics.read_bytes().split()))
    except OSError:
        return False


def sample(cores: Collection[int], tasks: Path = _TASKS, statistics: Path = _CORES) -> Sample:
    """Return what the kernel has counted for this process and for ``cores``."""
    threads = {int(task.name): times for task in tasks.iterdir() if (times := _times(task / "schedstat"))}
    return Sample(at=time.monotonic(), threads=threads, idle=_idle(statistics.read_text(), cores))


def _times(statistics: Path) -> tuple[int, int] | None:
    try:
        ran, waited, _ = statistics.read_bytes().split()
    except OSError:  # the thread has ended
        return None
    return int(ran), int(waited)


def _idle(statistics: str, cores: Collection[int]) -> float:
    """Return the idle seconds of ``cores`` in the text of /proc/stat: ``cpuN user nice system idle iowait ...``."""
    lines = (line.split() for line in statistics.splitlines() if line.startswith("cpu"))
    names = {f"cpu{core}" for core in cores}
    ticks = sum(int(idle) + int(iowait) for name, _, _, _, idle, iowait, *_ in lines if name in names)
    return ticks / _TICKS_PER_SECOND


def between(before: Sample, after: Sample, computing: float, threads: int) -> Window:
    """Return what happened between two samples to the ``threads`` that wanted to run most: those that compute."""
    wanted = sorted((_since(before, after, thread) for thread in after.threads), key=sum, reverse=True)[:threads]
    return Window(
        end=after.at,
        elapsed=after.at - before.at,
        computing=computing,
        ran=sum(ran for ran, _ in wanted) / 1e9,
        waited=sum(waited for _, waited in wanted) / 1e9,
        idle=after.idle - before.idle,
    )


def _since(before: Sample, after: Sample, thread: int) -> tuple[int, int]:
    (ran, waited), (ran_before, waited_before) = after.threads[thread], before.threads.get(thread, (0, 0))
    return ran - ran_before, waited - waited_before
