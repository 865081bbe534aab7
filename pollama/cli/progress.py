"""Spinners and bars on stderr, redrawn in place ten times a second."""

from __future__ import annotations

import re
import shutil
import sys
import threading
import time
from collections import deque
from typing import Final, Protocol, Self, TextIO

from pollama.types.human import format_duration, human_bytes

INTERVAL: Final = 0.1
"""Seconds between two redraws."""

_SYNC_BEGIN: Final = "\x1b[?2026h"
_SYNC_END: Final = "\x1b[?2026l"
_HIDE_CURSOR: Final = "\x1b[?25l"
_SHOW_CURSOR: Final = "\x1b[?25h"
_LINE_START: Final = "\x1b[1G"
_CLEAR_REST: Final = "\x1b[K"
_CLEAR_LINE: Final = "\x1b[2K"
_UP: Final = "\x1b[A"
_FRAMES: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_DEFAULT_COLUMNS: Final = 80
_DEFAULT_LINES: Final = 24


class Item(Protocol):
    """A line of the display."""

    def render(self, columns: int) -> str:
        """Return the line as it is now."""
        ...

    def stop(self) -> None:
        """Freeze the line."""
        ...


class Spinner:
    """A message with a turning sign behind it until it is stopped."""

    def __init__(self, message: str = "") -> None:
        self.message = message
        self._started = time.monotonic()
        self._stopped = False

    def render(self, columns: int) -> str:
        """Return message and frame."""
        text = f"{self.message} " if self.message else ""
        if self._stopped:
            return text
        frame = int((time.monotonic() - self._started) / INTERVAL) % len(_FRAMES)
        return f"{text}{_FRAMES[frame]} "

    def stop(self) -> None:
        """Take the sign away."""
        self._stopped = True


class Bar:
    """How many of ``total`` bytes are done, how fast it goes and how long it will take."""

    def __init__(self, message: str, total: int, completed: int) -> None:
        self.message = message
        self.total = total
        self._start = _Sample(time.monotonic(), completed)
        self._samples: deque[_Sample] = deque(maxlen=10)
        self._completed = completed

    def set(self, completed: int) -> None:
        """Note the bytes that are done."""
        self._completed = min(completed, self.total)
        now = time.monotonic()
        if self._completed == self.total or not self._samples or now - self._samples[-1].at >= 1:
            self._samples.append(_Sample(now, self._completed))

    def render(self, columns: int) -> str:
        """Return the bar, ``columns`` wide."""
        part = self._completed / self.total if self.total else 1.0
        prefix = f"{self.message} {part * 100:3.0f}%"
        suffix = self._suffix()
        room = columns - len(prefix.encode()) - len(suffix.encode()) - 5
        filled = int(room * part)
        fill = "█" * filled + " " * (room - filled) if room > 0 else ""
        return f"{prefix} ▕{fill}▏ {suffix}"

    def stop(self) -> None:
        """Leave the bar where it is."""

    def _suffix(self) -> str:
        if self._completed >= self.total:
            return f"{human_bytes(self.total):>6}{'':7}{'':18}"
        amount = f"{human_bytes(self._completed):>6}/{human_bytes(self.total):>6}"
        rate = self._rate()
        if rate <= 0:
            return f"{amount}{'':18}"
        left = remaining((self.total - self._completed) // rate)
        return f"{amount}  {human_bytes(rate):>6}/s  {left:>6}"

    def _rate(self) -> int:
        """Return bytes per second over the last samples."""
        if not self._samples:
            return 0
        last = self._samples[-1]
        first = self._samples[0] if len(self._samples) > 1 else self._start
        seconds = int(last.at - first.at)
        return int((last.completed - first.completed) / seconds) if seconds else 0


class _Sample:
    __slots__ = ("at", "completed")

    def __init__(self, at: float, completed: int) -> None:
        self.at = at
        self.completed = completed


def remaining(seconds: int) -> str:
    """Return a time to wait in at most six characters."""
    hours = seconds // 3600
    if hours >= 100:
        return "99h+"
    if hours >= 1:
        return f"{hours}h{seconds % 3600 // 60}m"
    return format_duration(seconds * 1_000_000_000)


class Progress:
    """Draws items below each other while the ``with`` block runs; ``clear`` takes them away in the end."""

    def __init__(self, stream: TextIO | None = None, *, clear: bool = False) -> None:
        self._stream = stream or sys.stderr
        self._clear = clear
        self._items: list[Item] = []
        self._drawn = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._painter = threading.Thread(target=self._paint, daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to draw."""
        self._painter.start()

    def add(self, item: Item) -> None:
        """Put an item below the others."""
        with self._lock:
            self._items.append(item)

    def stop(self) -> None:
        """Draw for the last time; safe to call twice."""
        if self._ended.is_set():
            return
        self._ended.set()
        self._painter.join()
        for item in self._items:
            item.stop()
        if self._clear:
            self._stream.write(_HIDE_CURSOR)
        self._draw()
        self._stream.write(self._erasure() if self._clear else "\n" if self._items else "")
        self._stream.flush()

    def _paint(self) -> None:
        while not self._ended.wait(INTERVAL):
            self._draw()

    def _draw(self) -> None:
        columns, lines = terminal_size(self._stream)
        with self._lock:
            shown = [item.render(columns) for item in self._items[-lines:]]
        up = _UP * max(self._drawn - 1, 0)
        body = "\n".join(f"{line}{_CLEAR_REST}" for line in shown)
        self._drawn = len(shown)
        self._stream.write(f"{_SYNC_BEGIN}{_HIDE_CURSOR}{up}{_LINE_START}{body}{_SHOW_CURSOR}{_SYNC_END}")
        self._stream.flush()

    def _erasure(self) -> str:
        return _UP.join([f"{_CLEAR_LINE}{_LINE_START}"] * max(self._drawn, 1)) + _SHOW_CURSOR


class StatusLines:
    """Shows the records of a pull, push or create: a bar per digest, a spinner per status."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bars: dict[str, Bar] = {}
        self._status = ""
        self._spinner: Spinner | None = None

    def show_bytes(self, digest: str, label: str, completed: int, total: int) -> None:
        """Move the bar of ``digest``."""
        self._end_spinner()
        bar = self._bars.get(digest)
        if bar is None:
            bar = self._bars[digest] = Bar(label, total, completed)
            self._progress.add(bar)
        bar.set(completed)

    def show_status(self, status: str) -> None:
        """Begin a new line when the status changes."""
        if status == self._status:
            return
        self._end_spinner()
        self._status = status
        self._spinner = Spinner(status)
        self._progress.add(self._spinner)

    def _end_spinner(self) -> None:
        if self._spinner is not None:
            self._spinner.stop()


def terminal_size(stream: TextIO) -> tuple[int, int]:
    """Return columns and lines of the terminal behind ``stream``; 80 and 24 where it is none."""
    if not stream.isatty():
        return _DEFAULT_COLUMNS, _DEFAULT_LINES
    size = shutil.get_terminal_size((_DEFAULT_COLUMNS, _DEFAULT_LINES))
    return size.columns, size.lines


def short_digest(digest: str) -> str:
    """Return the digits of a digest that progress lines show."""
    return re.sub("^sha256[:-]", "", digest)[:12]
