"""Logging: one line per event on stderr, in the ``key=value`` form that Ollama's users know."""

from __future__ import annotations

import logging
import sys
from datetime import datetime
from typing import Final, TextIO

TRACE: Final = 5
"""Below DEBUG: what every request and every runner line says."""

_LEVEL_NAMES: Final = {TRACE: "TRACE", logging.WARNING: "WARN", logging.CRITICAL: "ERROR"}


class LineFormatter(logging.Formatter):
    """``time=... level=INFO source=module:line msg="..."``; line breaks inside a message are escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        moment = datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")
        level = _LEVEL_NAMES.get(record.levelno, record.levelname)
        text = record.getMessage()
        if record.exc_info:
            text = f"{text}\n{self.formatException(record.exc_info)}"
        return f"time={moment} level={level} source={record.name}:{record.lineno} msg={_quoted(text)}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def python_level(level: int) -> int:
    """Translate a level of Ollama's scale (0 info, -4 debug, -8 trace, 4 warn, 8 error)."""
    return max(TRACE, logging.INFO + level * 10 // 4) if level > -8 else TRACE


def configure(level: int = 0, stream: TextIO | None = None) -> None:
    """Send pollama's log to ``stream`` (stderr); ``level`` is on Ollama's scale. Other libraries warn only."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(LineFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.addLevelName(TRACE, "TRACE")
    logging.getLogger("pollama").setLevel(python_level(level))
