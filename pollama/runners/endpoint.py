"""The place of a runner's socket: a private folder that holds nothing else."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Final

_NAME: Final = "runner"
_PATH_LIMIT: Final = 104
"""Bytes of a unix socket's path, with a final zero (104 on macOS, 108 on Linux)."""


def make_socket_path() -> Path:
    """Make a new folder with mode 0700 and return the path for a socket in it, short enough to be bound."""
    folder = Path(tempfile.mkdtemp(prefix="pollama-"))
    if len(os.fsencode(folder / _NAME)) < _PATH_LIMIT:
        return folder / _NAME
    folder.rmdir()
    return Path(tempfile.mkdtemp(prefix="pollama-", dir="/tmp")) / _NAME


def remove_socket(socket: Path) -> None:
    """Remove a socket and its folder, as far as they exist."""
    with contextlib.suppress(OSError):
        socket.unlink()
    with contextlib.suppress(OSError):
        socket.parent.rmdir()
