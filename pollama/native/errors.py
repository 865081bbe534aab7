"""Failures of llama.cpp calls."""

from __future__ import annotations


class NativeError(Exception):
    """A call of llama.cpp failed."""


class NoRoomError(NativeError):
    """A batch found no free KV cells; nothing of it was processed."""


class DecodeError(NativeError):
    """A batch failed while it was computed; leading parts of it may have been processed. ``code`` is llama.cpp's."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the engine could not process a batch (code {code})")
        self.code = code
