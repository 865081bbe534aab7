"""Every recorded behaviour of templates, renderers and parsers."""

from __future__ import annotations

import codecs
import functools
import json
from datetime import date
from typing import Any

import pytest

from pollama.errors import TemplateError
from pollama.prompts.chat_template import chat_capabilities, chat_round_trips_tools
from pollama.prompts.gotemplate import TemplateValues, parse_template
from pollama.prompts.parsers import PARSERS, Output, OutputParser, ParserContext, ParserError, ParserFamily
from pollama.prompts.parsers.arguments import load_json
from pollama.prompts.parsers.harmony import Content, Event, EventParser, Header, MessageStart, parse_header
from pollama.prompts.parsers.harmony_names import ToolNames, renamed_tools
from pollama.prompts.parsers.thinking import ThinkingParser
from pollama.prompts.parsers.tools import ToolParser
from pollama.prompts.renderers import RenderContext, RenderError, find_renderer
from pollama.prompts.traits import (
    PromptSources,
    go_capabilities,
    go_round_trips_tools,
    prefers_chat_template,
    select,
    stored_capabilities,
)
from pollama.types.json import Json
from pollama.types.model import ModelConfig, StoredModel
from tests.contract.conversation import message_of, messages_of, tools_of
from tests.contract.parser_differences import difference
from tests.contract.vectors import Vector, as_text, load_vectors, vector_id


def _same_text(actual: str, expected: str | Vector) -> bool:
    """Compare by bytes: a text may hold parts of characters."""
    return actual.encode("utf-8", "surrogateescape") == as_text(expected).encode("utf-8", "surrogateescape")


@pytest.mark.parametrize("vector", load_vectors("gotemplate"), ids=vector_id)
def test_go_template(vector: Vector) -> None:
    source = as_text(vector["input"]["template"])
    values = _template_values(vector["input"])
    if "error" not in vector:
        assert _same_text(parse_template(source).render(values), vector["output"])
        return
    if vector["error"]["stage"] == "execute":
        parse_template(source)
    with pytest.raises(TemplateError) as caught:
        parse_template(source).render(values)
    assert _same_text(str(caught.value), vector["error"]["text"])


def _template_values(item: Vector) -> TemplateValues:
    return TemplateValues(
        messages=messages_of(item.get("messages")),
        tools=tools_of(item.get("tools")),
        prompt=as_text(item.get("prompt", "")),
        suffix=as_text(item.get("suffix", "")),
        think=item.get("think", False),
        think_level=item.get("think_level", ""),
        is_think_set=item.get("is_think_set", False),
    )


def _info_vectors(*, of_model: bool) -> list[Vector]:
    return [vector for vector in load_vectors("template_info") if ("model" in vector["input"]) is of_model]


@pytest.mark.parametrize("vector", _info_vectors(of_model=False), ids=vector_id)
def test_template_info(vector: Vector) -> None:
    item = vector["input"]
    if "error" in vector:
        with pytest.raises(TemplateError) as caught:
            parse_template(item["template"])
        assert str(caught.value) == vector["error"]["text"]
        return
    assert _template_info(item.get("template"), item.get("chat_template")) == vector["output"]


def _template_info(go: str | None, chat: str | None) -> Vector:
    info: Vector = {}
    if go is not None:
        template = parse_template(go)
        info |= {
            "vars": sorted(template.variables),
            "tool_tag": template.tool_tag,
            "thinking_open": template.thinking_tags[0],
            "thinking_close": template.thinking_tags[1],
            "capabilities": list(go_capabilities(template)),
            "tool_round_trip": go_round_trips_tools(template),
        }
    if chat is not None:
        info |= {
            "chat_capabilities": list(chat_capabilities(chat)),
            "chat_tool_round_trip": chat_round_trips_tools(chat),
        }
    if go is not None and chat is not None:
        sources = PromptSources(config=ModelConfig(), go_template=go, chat_template=chat)
        info["prefer_chat_template"] = prefers_chat_template(sources)
    return info


@pytest.mark.parametrize("vector", _info_vectors(of_model=True), ids=vector_id)
def test_model_traits(vector: Vector) -> None:
    item = vector["input"]
    model, template = item["model"], item.get("template")
    sources = PromptSources(
        config=ModelConfig(**{key: _frozen(value) for key, value in model["config"].items()}),
        go_template=(template or "") if model["has_go_template"] else None,
        chat_template="x" if model["has_chat_template"] else "",
    )
    setting = _go_template_setting(item.get("env", {}).get("OLLAMA_GO_TEMPLATE", ""))
    selection = select(sources, setting=setting, prefers_chat=model["prefer_chat_template"])
    stored = StoredModel(
        name=model["name"],
        short_name=model["name"],
        digest="",
        size=0,
        modified_at=0,
        config=sources.config,
        spec=None,
        weights=None,
        template=template,
    )
    expected = vector["output"]
    assert list(stored_capabilities(stored, sources, selection)) == expected["capabilities"]
    assert (selection.selected, selection.mode) == (expected["selected"], expected["mode"])
    assert (selection.uses_go, sources.is_harmony) == (expected["uses_go_template"], expected["uses_harmony"])


def _frozen(value: Json) -> Json:
    return tuple(value) if isinstance(value, list) else value


def _go_template_setting(raw: str) -> bool | None:
    """Read the variable as the configuration does: unreadable means on."""
    text = raw.strip("\"' ")
    return None if not text else text not in ("0", "f", "F", "false", "FALSE", "False")


def _shown(output: Output) -> Vector:
    """Return an output as vectors write one."""
    shown: Vector = {"content": output.content, "thinking": output.thinking}
    shown["tool_calls"] = [
        {**({"id": call.id} if call.id else {}), "index": call.index, "name": call.name, "arguments": call.arguments}
        for call in output.tool_calls
    ]
    return {key: value for key, value in shown.items() if value}


def _feed(parser: OutputParser, chunks: list[str | Vector]) -> list[Vector]:
    """Feed all chunks; parts of characters are completed first, as the runner does."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    texts = [decoder.decode(as_text(chunk).encode("utf-8", "surrogateescape")) for chunk in chunks]
    return [_shown(parser.feed(text)) for text in texts]


def _joined(chunks: list[Vector]) -> Vector:
    """Return what the chunks of an output say together."""
    decode = functools.partial(str.encode, encoding="utf-8", errors="surrogateescape")
    parts: dict[str, Any] = {
        key: b"".join(decode(as_text(chunk.get(key, ""))) for chunk in chunks).decode("utf-8", "replace")
        for key in ("content", "thinking")
    }
    parts["tool_calls"] = [call for chunk in chunks for call in chunk.get("tool_calls", [])]
    return parts


def _assert_chunks(actual: list[Vector], expected: list[Vector], chunks: list[str | Vector]) -> None:
    """Compare chunk by chunk, or as a whole where chunks end inside a character."""
    expected = load_json(json.dumps(expected))
    if all(isinstance(chunk, str) for chunk in chunks):
        assert actual == expected
    else:
        assert _joined(actual) == _joined(expected)


@pytest.mark.parametrize("vector", load_vectors("thinking_parser"), ids=vector_id)
def test_thinking_parser(vector: Vector) -> None:
    item, expected = vector["input"], vector["output"]
    parser = ThinkingParser(item["opening_tag"], item["closing_tag"])
    actual = [_shown(parser.feed(as_text(chunk))) for chunk in item["chunks"]]
    _assert_chunks(actual, expected["chunks"], item["chunks"])
    assert {"state": parser.state.value, "buffer": parser.buffer} == expected["final"]


@pytest.mark.parametrize("vector", load_vectors("tools_parser"), ids=vector_id)
def test_tool_parser(vector: Vector) -> None:
    item = vector["input"]
    if "error" in vector:
        with pytest.raises(TemplateError) as caught:
            parse_template(item["template"])
        assert str(caught.value) == vector["error"]["text"]
        return
    expected = vector["output"]
    tag = item["tag"] if "tag" in item else parse_template(item["template"]).tool_tag
    parser = ToolParser(tag, tools_of(item["tools"]))
    assert tag == expected["tag"]
    _assert_chunks(_feed(parser, item["chunks"]), expected["chunks"], item["chunks"])
    final = expected["final"]
    assert (parser.state.value, parser.calls) == (final["state"], final["calls"])
    if final["state"] == "Done":
        # Ollama keeps a part that it has sent already, and would send it again: not imitated.
        assert not parser.buffer
        return
    assert _same_text(parser.buffer, final["buffer"])
    assert _same_text(parser.feed("", done=True).content, final["content"])


def _harmony(kind: str) -> list[Vector]:
    return [vector for vector in load_vectors("harmony") if vector["input"]["kind"] == kind]


def _run_parser(family: ParserFamily, item: Vector) -> list[Vector]:
    """Run a built-in parser over the chunks of a vector; an error ends the list."""
    last = item.get("last_message")
    context = ParserContext(
        tools=tools_of(item.get("tools")), last_message=message_of(last) if last else None, think=item.get("think")
    )
    parser = family.make(context)
    texts = [as_text(chunk) for chunk in item["chunks"]] + ([""] if item["done"] == "separate" else [])
    ends_at = len(texts) - 1 if item["done"] != "never" else -1
    shown = []
    for index, text in enumerate(texts):
        try:
            shown.append(_shown(parser.feed(text, done=index == ends_at)))
        except ParserError as error:
            shown.append({**_shown(error.partial), "error": str(error)})
            break
    return shown


@pytest.mark.parametrize("vector", _harmony("stream"), ids=vector_id)
def test_harmony_stream(vector: Vector) -> None:
    item = vector["input"]
    assert _run_parser(PARSERS["harmony"], item) == vector["output"]["chunks"]
    names = [tool.name for tool in renamed_tools(tools_of(item.get("tools")))]
    assert names == vector["output"].get("renamed_tools", [])


@pytest.mark.parametrize("vector", _harmony("events"), ids=vector_id)
def test_harmony_events(vector: Vector) -> None:
    item, expected = vector["input"], vector["output"]
    parser = EventParser()
    first = parser.feed("<|start|>assistant") if item.get("implicit_start") else []
    chunks = [[_shown_event(event) for event in parser.feed(as_text(chunk))] for chunk in item["chunks"]]
    chunks[0] = [_shown_event(event) for event in first] + chunks[0]
    assert chunks == expected["chunks"]
    assert {"state": parser.state.value, "buffer": parser.buffer} == expected["final"]


def _shown_event(event: Event) -> Vector:
    match event:
        case Header(role, channel, recipient):
            return {"event": "header_complete", "role": role, "channel": channel, "recipient": recipient}
        case Content(text):
            return {"event": "content", "content": text}
        case MessageStart():
            return {"event": "message_start"}
        case _:
            return {"event": "message_end"}


@pytest.mark.parametrize("vector", _harmony("header"), ids=vector_id)
def test_harmony_header(vector: Vector) -> None:
    header = parse_header(vector["input"]["header"])
    assert {"role": header.role, "channel": header.channel, "recipient": header.recipient} == vector["output"]


@pytest.mark.parametrize("vector", _harmony("names"), ids=vector_id)
def test_harmony_names(vector: Vector) -> None:
    names = ToolNames()
    assert [names.add(name) for name in vector["input"]["names"]] == vector["output"]["converted"]
    assert [names.original(name) for name in vector["input"]["lookup"]] == vector["output"]["original"]


@pytest.mark.parametrize("vector", load_vectors("parsers"), ids=vector_id)
def test_parser(vector: Vector) -> None:
    item, expected = vector["input"], vector.get("output")
    family = PARSERS.get(item["parser"])
    if item.get("meta"):
        assert _parser_facts(family) == expected
        return
    assert family is not None
    assert expected is not None
    chunks = load_json(json.dumps(expected["chunks"]))
    actual = load_json(json.dumps(_without_unwritable(_run_parser(family, item), chunks)))
    if not difference(vector):
        if vector.get("unordered"):
            assert actual == chunks
        else:
            assert json.dumps(actual, sort_keys=False) == json.dumps(_in_shown_order(chunks), sort_keys=False)
    if "renamed_tools" in expected:
        assert family.prompt_tools is not None
        assert [tool.name for tool in family.prompt_tools(tools_of(item["tools"]))] == expected["renamed_tools"]


def _without_unwritable(actual: list[Vector], expected: list[Vector]) -> list[Vector]:
    """Drop arguments where Ollama makes infinity or NaN of them, which cannot be written: pollama leaves them text."""
    for mine, theirs in zip(actual, expected, strict=False):
        for call, other in zip(mine.get("tool_calls", []), theirs.get("tool_calls", []), strict=False):
            if other.pop("arguments_error", None):
                del call["arguments"]
    return actual


def _in_shown_order(chunks: list[Vector]) -> list[Vector]:
    """Return chunks with their parts in the order of ``_shown``; the order inside arguments is kept."""
    order = ("content", "thinking", "tool_calls", "error")
    calls = ("id", "index", "name", "arguments")
    sorted_chunks = [{key: chunk[key] for key in order if key in chunk} for chunk in chunks]
    for chunk in sorted_chunks:
        if "tool_calls" in chunk:
            chunk["tool_calls"] = [{key: call[key] for key in calls if key in call} for call in chunk["tool_calls"]]
    return sorted_chunks


def _parser_facts(family: ParserFamily | None) -> Vector | None:
    if family is None:
        return None
    return {
        "has_tool_support": family.tools,
        "has_thinking_support": family.thinking,
        "preserved_tokens": list(family.preserved),
    }


@pytest.mark.parametrize("vector", load_vectors("renderers"), ids=vector_id)
def test_renderer(vector: Vector) -> None:
    item = vector["input"]
    if item.get("meta"):
        assert {"leading_bos": find_renderer(item["renderer"]).leading_bos} == vector["output"]
        return
    allowed = vector.get("alternatives") or [vector]
    assert _rendered(item) in [{key: other[key] for key in ("output", "error") if key in other} for other in allowed]


def _rendered(item: Vector) -> Vector:
    day = item.get("current_date")
    context = RenderContext(
        messages=messages_of(item["messages"]),
        tools=tools_of(item.get("tools")),
        think=item.get("think"),
        image_tags=item.get("img_tags", True),
        today=date.fromisoformat(day) if day else date(2026, 1, 2),
    )
    try:
        return {"output": find_renderer(item["renderer"]).render(context)}
    except RenderError as error:
        return {"error": str(error)}
