"""Showing an answer while it arrives: thinking, text, tool calls, and the statistics at its end."""

from __future__ import annotations

import json
import sys
from typing import Final, Self

from pollama.cli.command import stderr
from pollama.cli.progress import Progress, Spinner, terminal_size
from pollama.cli.wordwrap import WordWrap
from pollama.types.human import format_duration
from pollama.types.json import Json

_GREY: Final = "\x1b[38;5;245m"
_BOLD: Final = "\x1b[1m"
_RESET: Final = "\x1b[0m"


class AnswerView:
    """Prints one answer on stdout. A spinner turns on stderr until there is something to see."""

    def __init__(self, *, wordwrap: bool, hide_thinking: bool) -> None:
        self._terminal = sys.stdout.isatty()
        self._wrap_words = wordwrap and self._terminal
        self._wrap = self._new_wrap()
        self._hide_thinking = hide_thinking
        self._thinking = False
        self._spinner = Progress(clear=True)
        self._spinner.add(Spinner())
        self.text = ""
        self.thinking = ""

    def __enter__(self) -> Self:
        self._spinner.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the spinner away and leave the terminal in its normal colours."""
        self._spinner.stop()
        if self._thinking and self._terminal:
            self._print(_RESET)

    def show_thinking(self, text: str) -> None:
        """Print a piece of the thoughts that come before an answer."""
        self.thinking += text
        if self._hide_thinking or not text:
            return
        if not self._thinking:
            self._thinking = True
            self._print(self._styled("Thinking...\n", _GREY + _BOLD) + (_GREY if self._terminal else ""))
        self._print(self._wrap.feed(text))

    def show_text(self, text: str) -> None:
        """Print a piece of the answer."""
        if not text:
            return
        self._end_thinking()
        self.text += text
        self._print(self._wrap.feed(text))

    def show_tool_calls(self, calls: Json) -> None:
        """Print calls of tools; nobody here could carry them out."""
        if not calls:
            return
        self._end_thinking()
        lines = [
            f"  Model called a non-existent function '{call['function']['name']}()' "
            f"with arguments: {json.dumps(call['function']['arguments'], ensure_ascii=False)}"
            for call in calls
        ]
        self._print(self._styled("\n".join(lines), _GREY + _BOLD))

    def _end_thinking(self) -> None:
        if not self._thinking:
            return
        self._thinking = False
        newline = "" if self.thinking.endswith("\n") else "\n"
        self._print(newline + self._styled("...done thinking.\n\n", _GREY + _BOLD))
        self._wrap = self._new_wrap()

    def _new_wrap(self) -> WordWrap:
        return WordWrap(terminal_size(sys.stdout)[0] if self._wrap_words else 0)

    def _styled(self, text: str, style: str) -> str:
        return f"{style}{text}{_RESET}" if self._terminal else text

    def _print(self, text: str) -> None:
        self._spinner.stop()
        sys.stdout.write(text)
        sys.stdout.flush()


def print_statistics(record: Json) -> None:
    """Print on stderr what the last record of an answer tells of time and tokens; zeros are left out."""
    duration = {name: record.get(f"{name}_duration", 0) for name in ("total", "load", "prompt_eval", "eval")}
    for label, name in (("total duration:", "total"), ("load duration:", "load")):
        if duration[name]:
            stderr(f"{label:<22}{format_duration(duration[name])}")
    for label, name in (("prompt eval", "prompt_eval"), ("eval", "eval")):
        count = record.get(f"{name}_count", 0)
        if count:
            stderr(f"{label + ' count:':<22}{count} token(s)")
        if duration[name]:
            stderr(f"{label + ' duration:':<22}{format_duration(duration[name])}")
            stderr(f"{label + ' rate:':<22}{count / duration[name] * 1e9:.2f} tokens/s")
