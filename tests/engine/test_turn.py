"""Runners on the same cores compute in turn."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from pollama.runners.llamacpp.turn import Turn


def taken(path: Path) -> bool:
    """Tell whether somebody has the turn now."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def test_one_runner_on_the_same_cores_computes_at_a_time(tmp_path: Path) -> None:
    cores = [tmp_path / f"cpu{core}" for core in (2, 3)]
    for core in cores:
        core.mkdir()
    turn = Turn((2, 3), tmp_path)
    for _ in range(2):
        assert not taken(cores[0])
        with turn:
            assert [taken(core) for core in cores] == [True, False]
    assert not taken(cores[0])
    turn.close()
    turn.close()


def test_a_kernel_without_folders_for_cores_has_no_turns(tmp_path: Path) -> None:
    with Turn((2,), tmp_path) as turn:
        turn.close()


def test_without_cores_there_is_nothing_to_wait_for() -> None:
    with Turn() as first, Turn():
        first.close()
