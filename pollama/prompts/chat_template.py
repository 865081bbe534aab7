"""What the text of a GGUF's own Jinja template gives away about the model. It is searched, not parsed, as in Ollama."""

from __future__ import annotations

from typing import Final

_TOOL_TURN: Final = (
    "tool_response",
    "tool_results",
    "role'] == 'tool'",
    'role"] == "tool"',
    'role\'] == "tool"',
    "role\"] == 'tool'",
    "message.role == 'tool'",
    'message.role == "tool"',
    "ipython",
)
"""Signs that a template renders the results of tools."""


def chat_capabilities(template: str) -> tuple[str, ...]:
    """Return which of ``tools`` and ``thinking`` a Jinja template shows."""
    found = {"tools": _mentions_tools(template), "thinking": _thinks(template)}
    return tuple(name for name, present in found.items() if present)


def chat_round_trips_tools(template: str) -> bool:
    """Tell whether a Jinja template renders both calls of tools and their results."""
    calls = "tool_calls" in template or "assistant_tool_call" in template
    return _mentions_tools(template) and calls and any(sign in template for sign in _TOOL_TURN)


def _mentions_tools(template: str) -> bool:
    return "tools" in template or "tool_call" in template


def _thinks(template: str) -> bool:
    if "<think>" in template and "</think>" in template:
        return True
    splits = any(f"content.split({quote}</think>{quote})" in template for quote in "'\"")
    return splits and "reasoning_content" not in template and "<SPECIAL_12>" not in template
