"""Runners on the same cores compute in turn."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from pollama.runners.llamacpp.turn import Turn

CORE = min(os.sched_getaffinity(0))
FOLDER = Path(f"/sys/devices/system/cpu/cpu{CORE}")


def taken() -> bool:
    """Tell whether somebody has the turn now."""
    descriptor = os.open(FOLDER, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@pytest.mark.skipif(not FOLDER.exists(), reason="the kernel has no folders for cores")
def test_one_runner_on_the_same_cores_computes_at_a_time() -> None:
    turn, elsewhere = Turn((CORE, CORE + 7)), Turn((CORE + 7,))
    for _ in range(2):
        assert not taken()
        with elsewhere, turn:
            assert taken()
    assert not taken()
    turn.close()
    turn.close()
    elsewhere.close()


def test_without_cores_there_is_nothing_to_wait_for() -> None:
    with Turn() as first, Turn():
        first.close()
