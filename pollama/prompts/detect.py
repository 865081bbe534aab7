"""Recognition of well-known chat formats, for models that are imported without a template."""

from __future__ import annotations


def detect(chat_template: str) -> tuple[str, str, list[str]] | None:
    """Return (name, Go template, stop strings) of the format that a Jinja text stands for, or None."""
    del chat_template
    return None
