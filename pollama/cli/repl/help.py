"""The help pages of the conversation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

COMMANDS: Final = {
    "/set": "Set session variables",
    "/show": "Show model information",
    "/load <model>": "Load a session or model",
    "/save <model>": "Save your current session",
    "/clear": "Clear session context",
    "/bye": "Exit",
    "/?, /help": "Help for a command",
    "/? shortcuts": "Help for keyboard shortcuts",
}
SET: Final = {
    "/set parameter ...": "Set a parameter",
    "/set system <string>": "Set system message",
    "/set history": "Enable history",
    "/set nohistory": "Disable history",
    "/set wordwrap": "Enable wordwrap",
    "/set nowordwrap": "Disable wordwrap",
    "/set format json": "Enable JSON mode",
    "/set noformat": "Disable formatting",
    "/set verbose": "Show LLM stats",
    "/set quiet": "Disable LLM stats",
    "/set think": "Enable thinking",
    "/set nothink": "Disable thinking",
}
SHOW: Final = {
    "/show info": "Show details for this model",
    "/show license": "Show model license",
    "/show modelfile": "Show Modelfile for this model",
    "/show parameters": "Show parameters for this model",
    "/show system": "Show system message",
    "/show template": "Show prompt template",
}
PARAMETERS: Final = {
    "/set parameter seed <int>": "Random number seed",
    "/set parameter num_predict <int>": "Max number of tokens to predict",
    "/set parameter top_k <int>": "Pick from top k num of tokens",
    "/set parameter top_p <float>": "Pick token based on sum of probabilities",
    "/set parameter min_p <float>": "Pick token based on top token probability * min_p",
    "/set parameter num_ctx <int>": "Set the context size",
    "/set parameter temperature <float>": "Set creativity level",
    "/set parameter repeat_penalty <float>": "How strongly to penalize repetitions",
    "/set parameter repeat_last_n <int>": "Set how far back to look for repetitions",
    "/set parameter num_gpu <int>": "The number of layers to send to the GPU",
    "/set parameter stop <string> <string> ...": "Set the stop parameters",
}
SHORTCUTS: Final = {
    "Ctrl + a": "Move to the beginning of the line (Home)",
    "Ctrl + e": "Move to the end of the line (End)",
    "Alt + b": "Move back (left) one word",
    "Alt + f": "Move forward (right) one word",
    "Ctrl + k": "Delete the sentence after the cursor",
    "Ctrl + u": "Delete the sentence before the cursor",
    "Ctrl + w": "Delete the word before the cursor",
    "Ctrl + j": "Start a new line in the message",
    "Ctrl + g": "Open an editor for the message",
    "Ctrl + l": "Clear the screen",
    "Ctrl + z": "Suspend",
    "Ctrl + c": "Stop the model from responding",
    "Ctrl + d": "Exit (/bye)",
}


def page(title: str, rows: Mapping[str, str], *notes: str) -> str:
    """Return a help page: aligned rows, a blank line, notes."""
    width = max(map(len, rows))
    lines = [title, *(f"  {name:<{width}}  {text}" for name, text in rows.items()), ""]
    return "\n".join([*lines, *notes])


def main_page(*, multimodal: bool) -> str:
    """Return the answer to ``/?``."""
    media = ["Use /path/to/file to include .jpg, .png, .webp images, or .wav audio files."] if multimodal else []
    return page("Available Commands:", COMMANDS, 'Use """ to begin a multi-line message.', *media, "")


def topic_page(topic: str, *, multimodal: bool) -> str:
    """Return the answer to ``/? topic``."""
    if topic in ("set", "/set"):
        return set_page()
    if topic in ("show", "/show"):
        return show_page()
    if topic in ("shortcut", "shortcuts"):
        return page("Available keyboard shortcuts:", SHORTCUTS)
    return main_page(multimodal=multimodal)


def set_page() -> str:
    """Return the help of ``/set``."""
    return page("Available Commands:", SET)


def show_page() -> str:
    """Return the help of ``/show``."""
    return page("Available Commands:", SHOW)


def parameter_page() -> str:
    """Return the help of ``/set parameter``."""
    return page("Available Parameters:", PARAMETERS)
