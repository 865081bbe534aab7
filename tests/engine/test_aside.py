"""Work beside the steps leaves them their time."""

from __future__ import annotations

import functools

from pollama.runners.llamacpp.aside import SideWork


def test_steps_get_as_much_time_as_the_work_beside_them() -> None:
    now = 100.0
    done: list[str] = []

    def piece(name: str, seconds: float) -> None:
        nonlocal now
        now += seconds
        done.append(name)

    work = SideWork(lambda: now)
    work.add(lambda: piece("first", 4.0))
    work.add(lambda: piece("second", 1.0))
    work.after_step()
    now += 3.5
    work.after_step()
    assert done == ["first"]
    now += 0.5
    work.after_step()
    assert done == ["first", "second"]
    assert not work


def test_without_steps_nothing_waits() -> None:
    done: list[int] = []
    work = SideWork(lambda: 0.0)
    for number in range(3):
        work.add(functools.partial(done.append, number))
    while work:
        work.next()
    assert done == [0, 1, 2]
