"""Measures what prompts and answers cost in Python: rendering a long chat with tools, and parsing in small parts.

python -m benchmarks.prompts [--messages N] [--tools N] [--parts N] [--rounds N]

Prints milliseconds of processor time per prompt for a Go template, a GGUF's Jinja template and a built-in renderer, and
microseconds per part of an answer for the parsers that read them, medians of the rounds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path

from pollama.prompts.native import SpecialTexts, render_native
from pollama.prompts.parsers import PARSERS, OutputParser, ParserContext
from pollama.prompts.parsers.generic import Stages
from pollama.prompts.parsers.thinking import ThinkingParser
from pollama.prompts.parsers.tools import ToolParser
from pollama.prompts.render import render_go
from pollama.prompts.renderers import RenderContext, find_renderer
from pollama.types.messages import Message, Tool, ToolCall, ToolParameters, ToolProperty

GO_TEMPLATE = """\
{{- if or .System .Tools }}<|im_start|>system
{{ .System }}
{{- range .Tools }}
{"type": "function", "function": {{ .Function }}}
{{- end }}<|im_end|>
{{ end }}
{{- range $i, $message := .Messages }}
{{- $last := eq (len (slice $.Messages $i)) 1 }}
{{- if eq .Role "user" }}<|im_start|>user
{{ .Content }}<|im_end|>
{{ else if eq .Role "assistant" }}<|im_start|>assistant
{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}{{ .Content }}
{{- range .ToolCalls }}
<tool_call>
{"name": "{{ .Function.Name }}", "arguments": {{ .Function.Arguments }}}
</tool_call>
{{- end }}{{ if not $last }}<|im_end|>
{{ end }}
{{- else if eq .Role "tool" }}<|im_start|>user
<tool_response>
{{ .Content }}
</tool_response><|im_end|>
{{ end }}
{{- end }}<|im_start|>assistant
"""
JINJA_TEMPLATE = Path(__file__).parents[1] / "tools" / "demo_model" / "chat_template.jinja"
SENTENCE = "The quick brown fox jumps over the lazy dog, and then it rests. "
CALL = '<tool_call>\n{"name": "tool_1", "arguments": {"city": "Oslo", "days": 3}}\n</tool_call>\n'
ANSWERS = {
    "generic": f"<think>{SENTENCE * 50}</think>{SENTENCE * 50}{CALL}",
    "qwen3-thinking": f"{SENTENCE * 50}</think>{(SENTENCE * 20 + CALL) * 3}",
    "qwen3.5": f"{SENTENCE * 50}</think>{SENTENCE * 50}",
    "harmony": f"<|channel|>analysis<|message|>{SENTENCE * 50}<|end|><|start|>assistant<|channel|>final<|message|>",
    "gemma4": f"<|channel>thought\n{SENTENCE * 50}<channel|>{SENTENCE * 50}",
    "laguna": f"{SENTENCE * 50}</think>{SENTENCE * 50}",
}


def conversation(length: int) -> list[Message]:
    """Return a chat in which every second question needs a tool."""
    turns = cycle(
        [
            Message(role="user", content=SENTENCE * 4),
            Message(role="assistant", tool_calls=[ToolCall(name="tool_1", arguments={"city": "Oslo", "days": 3})]),
            Message(role="tool", content='{"degrees": 4}', tool_name="tool_1"),
            Message(role="assistant", content=SENTENCE * 8, thinking=SENTENCE),
        ]
    )
    return [Message(role="system", content=SENTENCE), *islice(turns, length - 1)]


def toolbox(count: int) -> list[Tool]:
    """Return tools with two parameters each."""
    properties = {
        "city": ToolProperty(type=("string",), description=SENTENCE),
        "days": ToolProperty(type=("integer",), description=SENTENCE),
    }
    parameters = ToolParameters(type="object", properties=properties, required=["city"])
    return [
        Tool(type="function", name=f"tool_{number}", description=SENTENCE, parameters=parameters)
        for number in range(count)
    ]


def renderings(messages: list[Message], tools: list[Tool]) -> dict[str, Callable[[], str]]:
    """Return the ways to make a prompt."""
    jinja = JINJA_TEMPLATE.read_text("utf-8")
    context = RenderContext(messages=messages, tools=tools, think=True)
    return {
        "Go template": lambda: render_go(GO_TEMPLATE, messages, tools, True),
        "Jinja template": lambda: render_native(jinja, messages, tools, True, SpecialTexts()),
        "renderer qwen3.5": lambda: find_renderer("qwen3.5").render(context),
    }


def parser_named(name: str, tools: list[Tool]) -> OutputParser:
    """Return a fresh parser."""
    if name == "generic":
        return Stages(ThinkingParser("<think>", "</think>"), ToolParser("<tool_call>", tools))
    return PARSERS[name].make(ParserContext(tools=tools, think=True))


def parts_of(answer: str, count: int) -> list[str]:
    """Return an answer in parts of four characters, repeated text behind it until there are ``count``."""
    text = answer + SENTENCE * (4 * count // len(SENTENCE) + 1)
    return [text[start : start + 4] for start in range(0, 4 * count, 4)]


def parse(name: str, tools: list[Tool], parts: list[str]) -> None:
    """Read an answer from its first part to its last."""
    parser = parser_named(name, tools)
    for part in parts:
        parser.feed(part)
    parser.feed("", done=True)


def seconds(run: Callable[[], object], rounds: int) -> float:
    """Return the median processor time of a run; the first one, which fills caches, does not count."""
    return statistics.median(list(_timed(run, rounds + 1))[1:])


def _timed(run: Callable[[], object], rounds: int) -> Iterator[float]:
    for _ in range(rounds):
        begin = time.process_time()
        run()
        yield time.process_time() - begin


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=100)
    parser.add_argument("--tools", type=int, default=10)
    parser.add_argument("--parts", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    tools = toolbox(arguments.tools)
    print(f"| a prompt of {arguments.messages} messages and {arguments.tools} tools | ms |\n| --- | --- |")
    for name, render in renderings(conversation(arguments.messages), tools).items():
        print(f"| {name}, {len(render())} characters | {seconds(render, arguments.rounds) * 1e3:.1f} |")
    print(f"\n| an answer in {arguments.parts} parts | ms | µs per part |\n| --- | --- | --- |")
    for name, answer in ANSWERS.items():
        parts = parts_of(answer, arguments.parts)
        taken = seconds(lambda name=name, parts=parts: parse(name, tools, parts), arguments.rounds)  # type: ignore[misc]
        print(f"| parser {name} | {taken * 1e3:.1f} | {taken * 1e6 / len(parts):.1f} |")


if __name__ == "__main__":
    main()
