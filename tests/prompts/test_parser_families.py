"""Every built-in parser: the parts in which an answer arrives do not change what is read."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pollama.prompts.parsers import PARSERS, Output, ParserContext, ParserError
from pollama.types.json import Json
from pollama.types.messages import Message, Think, Tool, ToolParameters, ToolProperty
from tests.prompts.support import assistant

TOOLS = (
    Tool(name="ping"),
    Tool(
        name="read",
        parameters=ToolParameters(
            properties={"path": ToolProperty(type=("string",)), "lines": ToolProperty(type=("integer",))},
            required=["path"],
        ),
    ),
)
CALLS = (
    '{"name": "read", "arguments": {"path": "/x"}}',
    '{"name": ',
    "<function=read><parameter=path>/x</parameter></function>",
    "read<arg_key>path</arg_key><arg_value>/x</arg_value>",
    'call:read{path:<|"|>/x<|"|>}',
    "call:read{path:<escape>/x<escape>}",
    '[read(path="/x")]',
    'read(path="/x")',
    'read[ARGS]{"path": "/x"}',
    '[{"tool_call_id": "1", "tool_name": "read", "parameters": {"path": "/x"}}]',
    'read<｜tool▁sep｜>{"path": "/x"}',
    'function<｜tool▁sep｜>read\n```json\n{"path": "/x"}\n```',
    " to=self<|message|>",
    " to=user<|message|>",
    "<|start|>assistant to=read<|message|>",
    '<atem:function_calls><atem:invoke name="read"></atem:invoke></atem:function_calls>',
    "<|channel|>analysis<|message|>",
)
WORDS = ("a", " ", "\n", "<", "{", "[", "thought\n", "end", "<think>", "</think>", "ping", "<|message|>")
THINKS: Sequence[Think] = (None, True, False)
LASTS = (None, assistant("It is"), Message(role="tool", content="r"))

Reading = tuple[str, str, list[tuple[int, str, dict[str, Json] | None]], str]


def read(name: str, context: ParserContext, parts: Sequence[str]) -> Reading:
    """Return what a parser reads, without white space: how much of that is dropped at a tag follows the parts."""
    parser = PARSERS[name].make(context)
    total, failure = Output(), ""
    try:
        for part in parts:
            total.add(parser.feed(part))
        total.add(parser.feed("", done=True))
    except ParserError as error:
        return "", "", [], str(error)
    calls = [(call.index, call.name, call.arguments) for call in total.tool_calls]
    return "".join(total.content.split()), "".join(total.thinking.split()), calls, failure


@st.composite
def answers(draw: st.DrawFn, name: str) -> tuple[str, list[str]]:
    """Return an answer made of what the format knows, whole and in parts."""
    pieces = st.sampled_from((*PARSERS[name].preserved, *CALLS, *WORDS))
    text = "".join(draw(st.lists(pieces, max_size=10)))
    cuts = sorted({0, len(text), *draw(st.lists(st.integers(0, len(text)), max_size=8))})
    return text, [text[start:end] for start, end in pairwise(cuts)]


@pytest.mark.parametrize("name", PARSERS)
@settings(deadline=None)
@given(data=st.data(), think=st.sampled_from(THINKS), last=st.sampled_from(LASTS))
def test_the_parts_of_an_answer_do_not_matter(
    name: str, data: st.DataObject, think: Think, last: Message | None
) -> None:
    text, parts = data.draw(answers(name))
    context = ParserContext(tools=TOOLS, think=think, last_message=last)
    assert read(name, context, parts) == read(name, context, [text])
