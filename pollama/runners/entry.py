"""How a child process of the head begins and ends, whatever it is for.

Standard input brings one line of JSON, which says what to do, and stays open as long as the head lives. Standard output
is for status lines. Standard error is the log; ``error: ...`` on it says why the process is of no use, and the exit
status is 1 then.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
from typing import Final

from pollama.runners import guard

FAILED: Final = 1
"""Exit status of a process that has said why."""


def _nothing() -> None:
    pass


def argument_parser(description: str) -> argparse.ArgumentParser:
    """Return a parser for the arguments that all child processes have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--parent", type=int, required=True, help="process that this one must not outlive")
    parser.add_argument("--log-level", type=int, default=logging.INFO, help="level of Python's logging")
    return parser


def begin(arguments: argparse.Namespace, clean_up: guard.CleanUp = _nothing) -> None:
    """Watch the head and set up the log. ``clean_up`` is called where the process ends with the head."""
    guard.start(arguments.parent, clean_up)
    logging.basicConfig(level=arguments.log_level, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)


def wait_for_order(clean_up: guard.CleanUp = _nothing) -> bytes:
    """Return the line that says what to do, whenever it comes; a process that never gets one ends with the head."""
    line = sys.stdin.buffer.readline()
    if not line:
        guard.leave(clean_up)
    guard.watch_input(sys.stdin.fileno(), clean_up)
    return line


class StatusLines:
    """Standard output, kept for status lines; what else writes there goes to standard error from now on."""

    def __init__(self) -> None:
        self._output = os.dup(sys.stdout.fileno())
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def send(self, line: bytes) -> None:
        """Tell the head; a head that is gone is the guard's business."""
        with contextlib.suppress(OSError):
            os.write(self._output, line + b"\n")


def fail(reason: str) -> int:
    """Say why this process is of no use; return its exit status."""
    sys.stderr.write(f"error: {reason}\n".replace("\n", " ").rstrip() + "\n")
    return FAILED
