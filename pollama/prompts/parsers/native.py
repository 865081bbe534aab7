"""The reading of answers to prompts of a GGUF's own template, as llama-server reads them.

    [spaces] [<think> thought </think>] text [calls]

The thought may have begun in the prompt. Which tags and which form of call a model writes is seen in its template.
Calls are handed out at the end of the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from typing import Final

from pollama.prompts.parsers.base import Output, OutputParser
from pollama.prompts.parsers.partial import overlap
from pollama.prompts.spaces import GO_SPACES
from pollama.types.messages import ToolCall

_THOUGHT_TAGS: Final = (
    ("<think>", "</think>"),
    ("[THINK]", "[/THINK]"),
    ("<seed:think>", "</seed:think>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
)
_TOOL_TAGS: Final = (
    "<tool_call>",
    "[TOOL_CALLS]",
    "<|tool_call_start|>",
    "<|tool_call|>",
    "<tool_calls>",
    "functools[",
)
_FAMILIES: Final = (
    ("<function=", "qwen3-coder"),
    ("<arg_key>", "glm-4.7"),
    ("[ARGS]", "ministral"),
    ("<｜tool▁calls▁begin｜>", "deepseek3"),
    ("<start_function_call>", "functiongemma"),
    ("<|START_ACTION|>", "cohere"),
)
_HARMONY_SIGNS: Final = ("<|channel|>", "<|message|>")


def speaks_harmony(template: str) -> bool:
    """Tell whether a template is one of the gpt-oss format."""
    return all(sign in template for sign in _HARMONY_SIGNS)


def call_family(template: str) -> str:
    """Return the name of the built-in parser for the calls that a template shows, or an empty text."""
    return next((name for sign, name in _FAMILIES if sign in template), "")


def call_tag(template: str) -> str:
    """Return the text that begins the calls that a template shows; ``{`` where it shows none."""
    return next((tag for tag in _TOOL_TAGS if tag in template), "{")


def thought_tags(template: str) -> tuple[str, str] | None:
    """Return the tags around a thought, or None where a template knows of none."""
    return next((tags for tags in _THOUGHT_TAGS if any(tag in template for tag in tags)), None)


class _State(Enum):
    START = auto()
    THINKING = auto()
    AFTER_THOUGHT = auto()
    CONTENT = auto()


class ThoughtSplitter:
    """Separates the thought at the start of an answer; blanks before it and line feeds around it are dropped."""

    def __init__(self, opening: str, closing: str, *, inside: bool = False) -> None:
        self._opening = opening
        self._closing = closing
        self._state = _State.THINKING if inside else _State.START
        self._began = False
        self._buffer = ""

    def feed(self, text: str, *, done: bool = False) -> Output:
        """Take the next part; at the end what was held back is released."""
        self._buffer += text
        output = Output()
        while self._step(output):
            pass
        if done and self._buffer:
            self._release(output)
        return output

    def _step(self, output: Output) -> bool:
        if self._state is _State.START:
            return self._start()
        if self._state is _State.THINKING:
            return self._think(output)
        if self._state is _State.AFTER_THOUGHT:
            self._buffer = self._buffer.lstrip("\n")
            if self._buffer:
                self._state = _State.CONTENT
        if self._state is _State.CONTENT:
            output.content += self._buffer
            self._buffer = ""
        return False

    def _start(self) -> bool:
        self._buffer = self._buffer.lstrip(GO_SPACES)
        if self._buffer.startswith(self._opening):
            self._buffer = self._buffer.removeprefix(self._opening)
            self._state = _State.THINKING
            return True
        if self._opening.startswith(self._buffer):
            return False
        self._state = _State.CONTENT
        return True

    def _think(self, output: Output) -> bool:
        if not self._began:
            self._buffer = self._buffer.lstrip("\n")
            self._began = bool(self._buffer)
        thought, closing, rest = self._buffer.partition(self._closing)
        if closing:
            output.thinking += thought.rstrip("\n")
            self._buffer = rest
            self._state = _State.AFTER_THOUGHT
            return True
        kept = len(thought) - overlap(thought, self._closing)
        released = thought[:kept].rstrip("\n")
        output.thinking += released
        self._buffer = thought[len(released) :]
        return False

    def _release(self, output: Output) -> None:
        if self._state is _State.THINKING:
            output.thinking += self._buffer
        else:
            output.content += self._buffer
        self._buffer = ""


class CallsAtEnd:
    """Holds the calls of another parser until the answer is complete."""

    def __init__(self, parser: OutputParser) -> None:
        self._parser = parser
        self._calls: list[ToolCall] = []

    def feed(self, text: str, *, done: bool = False) -> Output:
        """Take the next part."""
        output = self._parser.feed(text, done=done)
        self._calls += output.tool_calls
        output.tool_calls = self._calls if done else []
        return output


class Prefilled:
    """Puts the beginning of an answer, which stood in the prompt, in front of what the model adds."""

    def __init__(self, parser: OutputParser, prefill: str) -> None:
        self._parser = parser
        self._prefill = prefill

    def feed(self, text: str, *, done: bool = False) -> Output:
        """Take the next part."""
        prefill, self._prefill = self._prefill, ""
        return self._parser.feed(prefill + text, done=done)


class Verbatim:
    """Takes an answer as it is."""

    def feed(self, text: str, *, done: bool = False) -> Output:
        """Return the part as content."""
        del done
        return Output(content=text)


def preserved_tokens(template: str, thought: Sequence[str]) -> tuple[str, ...]:
    """Return the special tokens that must be readable in an answer: those of the template that parsers look for."""
    tags = (*thought, call_tag(template))
    closing = {"<tool_call>": ("</tool_call>",), "<tool_calls>": ("</tool_calls>",)}
    wanted = [text for tag in tags if tag != "{" for text in (tag, *closing.get(tag, ()))]
    return tuple(text for text in wanted if text in template)
