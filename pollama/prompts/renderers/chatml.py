"""Turns as ChatML writes them, the common frame of several families."""

from __future__ import annotations

from typing import Final

START: Final = "<|im_start|>"
END: Final = "<|im_end|>\n"
ANSWER: Final = f"{START}assistant\n"
"""The beginning of the answer that the model is to give."""


def turn(role: str, content: str, *, ends: bool = True) -> str:
    """Return a turn; one that does not end is left for the model to continue."""
    return f"{START}{role}\n{content}" + (END if ends else "")
