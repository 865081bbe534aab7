"""Reading of answers, whatever parts they arrive in."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollama.prompts.parsers import Output, OutputParser, ParserContext
from pollama.prompts.parsers.arguments import load_object, parse_arguments
from pollama.prompts.parsers.harmony import HarmonyParser
from pollama.prompts.parsers.native import ThoughtSplitter
from pollama.prompts.parsers.thinking import ThinkingParser
from pollama.prompts.parsers.tools import ToolParser
from pollama.prompts.reading import Reading, chat_reading, completion_reading
from pollama.types.messages import Message, Think, Tool, ToolCall
from pollama.types.model import Model, ModelConfig
from pollama.types.requests import ChatRequest, CompletionRequest
from tests.prompts.support import NATIVE_TEMPLATE, assistant, model, tool, user

THINKING_GO = (
    "{{ range .Messages }}{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}"
    "{{ if .ToolCalls }}<tool_call>{{ range .ToolCalls }}{{ .Function.Name }}{{ end }}{{ end }}"
    "{{ .Content }}{{ end }}{{ .Tools }}"
)
HARMONY_GO = "<|start|>{{ range .Messages }}{{ .Content }}<|end|>{{ end }}"
CALL = '<tool_call>{"name": "get", "arguments": {"n": 1}}</tool_call>'


def run(parser: OutputParser, chunks: Sequence[str]) -> Output:
    """Return all that a parser releases for an answer in these parts."""
    total = Output()
    for chunk in chunks:
        total.add(parser.feed(chunk))
    total.add(parser.feed("", done=True))
    return total


def chat(
    used: Model,
    *messages: Message,
    tools: Sequence[Tool] = (),
    think: Think = True,
    prompt: str = "",
) -> Reading:
    request = ChatRequest(model="m", messages=list(messages) or [user("q")], tools=list(tools))
    return chat_reading(used, request, think, prompt, source=random.Random(1))


def parsed(reading: Reading, text: str) -> Output:
    assert reading.parser is not None
    return run(reading.parser, [text])


PIECES = st.lists(
    st.sampled_from(
        [
            "<think>",
            "</think>",
            "<tool_call>",
            "</tool_call>",
            '{"name": "get", "arguments": {"n": 1}}',
            "<|channel|>",
            "<|message|>",
            "<|end|>",
            "<|start|>",
            "analysis",
            "final",
            " ",
            "\n",
            "<",
            "text",
        ]
    ),
    max_size=12,
).map("".join)

PARSERS: dict[str, Callable[[], OutputParser]] = {
    "thinking": lambda: ThinkingParser("<think>", "</think>"),
    "tools": lambda: ToolParser("<tool_call>", [tool("get")]),
    "native": lambda: ThoughtSplitter("<think>", "</think>"),
    "harmony": lambda: HarmonyParser(ParserContext(tools=[tool("get")])),
}


@pytest.mark.parametrize("make", PARSERS.values(), ids=PARSERS)
@given(text=PIECES, cuts=st.lists(st.integers(0, 200), max_size=6))
def test_the_borders_of_parts_do_not_matter(make: Callable[[], OutputParser], text: str, cuts: list[int]) -> None:
    ends = [*sorted(cut for cut in cuts if cut < len(text)), len(text)]
    parts = [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    assert run(make(), parts) == run(make(), [text])


def test_an_unfinished_tag_at_the_end_is_text() -> None:
    assert run(ThinkingParser("<think>", "</think>"), ["<think>a</th"]) == Output(thinking="a</th")
    assert run(ThinkingParser("<think>", "</think>"), ["<thi"]) == Output(content="<thi")
    assert run(ToolParser("<tool_call>", [tool("get")]), ["a<tool"]) == Output(content="a<tool")


def test_text_that_only_looked_like_a_call_is_shown() -> None:
    assert run(ToolParser("{", [tool("get")]), ['{"name": "ge']) == Output(content='{"name": "ge')


def test_a_long_argument_is_read_in_linear_time() -> None:
    text = "x}{" * 30_000
    parser = ToolParser("<tool_call>", [tool("write")])
    chunks = [
        '<tool_call>{"name": "write", "arguments": {"text": "',
        *(text[i : i + 3] for i in range(0, 90_000, 3)),
        '"}}',
    ]
    assert run(parser, chunks).tool_calls == [ToolCall(name="write", arguments={"text": text})]


def test_numbers_of_arguments_go_through_floats() -> None:
    assert load_object('{"a": 1.0, "b": 12345678901234567890, "c": 0.5, "d": 7}') == {
        "a": 1,
        "b": 12345678901234567168.0,
        "c": 0.5,
        "d": 7,
    }
    assert load_object('{"a": NaN}') is None
    assert load_object('{"a": 1e999}') is None
    assert load_object("[" * 100_000) is None


def test_arguments_keep_their_order_and_sort_what_is_inside() -> None:
    arguments = parse_arguments('{"z": {"y": 1, "x": 2}, "a": null}')
    assert arguments is not None
    assert [*arguments] == ["z", "a"]
    assert [*arguments["z"]] == ["x", "y"]


def test_generic_reading_separates_thinking_and_calls() -> None:
    reading = chat(model(template=THINKING_GO), tools=[tool("get")])
    output = parsed(reading, f"<think>hm</think>\n\nLook: {CALL}")
    assert (output.thinking, output.content) == ("hm", "Look: ")
    assert [(call.name, call.arguments, call.index) for call in output.tool_calls] == [("get", {"n": 1}, 0)]
    assert output.tool_calls[0].id.startswith("call_")
    assert len(output.tool_calls[0].id) == len("call_") + 8
    assert reading.preserved == ("<tool_call>",)
    assert (reading.thinks_before_format, reading.sends_empty_pieces) == (True, False)


def test_generic_reading_without_thinking_leaves_tags_in_the_content() -> None:
    reading = chat(model(template=THINKING_GO), think=False)
    assert (reading.parser, reading.thinks_before_format, reading.sends_empty_pieces) == (None, False, True)


def test_a_thought_begun_in_the_prompt_goes_on() -> None:
    reading = chat(model(template=THINKING_GO), prompt="...<think>\n")
    assert parsed(reading, "so</think>yes") == Output(thinking="so", content="yes")


def test_calls_in_the_part_that_ends_the_content_are_kept() -> None:
    reading = chat(model(template=THINKING_GO), tools=[tool("get")], think=False)
    assert reading.parser is not None
    output = reading.parser.feed(f"text{CALL}")
    assert (output.content, len(output.tool_calls)) == ("text", 1)


def test_native_reading_hands_out_calls_at_the_end() -> None:
    reading = chat(model(chat_template=NATIVE_TEMPLATE), tools=[tool("get")])
    assert reading.parser is not None
    assert reading.parser.feed(f" <think>\nso\n</think>\n\nyes {CALL}") == Output(thinking="so", content="yes ")
    calls = reading.parser.feed("", done=True).tool_calls
    assert [(call.name, call.arguments, len(call.id)) for call in calls] == [("get", {"n": 1}, 32)]


def test_native_reading_repeats_the_prefill_and_trims_the_start() -> None:
    used = model(chat_template=NATIVE_TEMPLATE)
    assert parsed(chat(used), " one two") == Output(content="one two")
    assert parsed(chat(used, user("q"), assistant("It is")), " so") == Output(content="It is so")


def test_native_reading_leaves_answers_alone_where_the_template_knows_no_thoughts() -> None:
    assert chat(model()).parser is None
    prefilled = chat(model(), user("q"), assistant("It is"))
    assert parsed(prefilled, " <think>") == Output(content="It is <think>")


def test_native_reading_begins_inside_a_thought_that_the_prompt_opened() -> None:
    reading = chat(model(chat_template=NATIVE_TEMPLATE), prompt="<|im_start|>assistant\n<think>\n")
    assert parsed(reading, "so</think>yes") == Output(thinking="so", content="yes")


def test_harmony_models_have_their_parser_and_prompt_names() -> None:
    used = model(template=HARMONY_GO, config=ModelConfig(model_family="gptoss"))
    reading = chat(used, tools=[tool("ns.get")])
    thought = "<|channel|>analysis<|message|>hm<|end|>"
    call = "<|start|>assistant<|channel|>commentary to=functions.ns_get<|message|>{}"
    output = parsed(reading, thought + call)
    assert (output.thinking, [call.name for call in output.tool_calls]) == ("hm", ["ns.get"])
    assert reading.thinks_before_format


def test_completions_separate_thinking_only() -> None:
    request = CompletionRequest(model="m", prompt="q")
    reading = completion_reading(model(template=THINKING_GO), request, True, "")
    assert parsed(reading, f"<think>a</think>{CALL}") == Output(thinking="a", content=CALL)
    assert reading.sends_empty_pieces
    raw = CompletionRequest(model="m", prompt="q", raw=True)
    assert completion_reading(model(template=THINKING_GO), raw, True, "").parser is None
    native = completion_reading(model(chat_template=NATIVE_TEMPLATE), request, True, "")
    assert native.parser is None


def test_a_completion_leaves_an_unset_think_to_its_parser() -> None:
    used = model(config=ModelConfig(parser="deepseek3"))
    unset = completion_reading(used, CompletionRequest(model="m", prompt="q"), True, "")
    assert parsed(unset, "yes") == Output(content="yes")
    asked = completion_reading(used, CompletionRequest(model="m", prompt="q", think=True), True, "")
    assert parsed(asked, "so</think>yes") == Output(thinking="so", content="yes")
