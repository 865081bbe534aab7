"""Every recorded behaviour of templates, renderers and parsers."""

from __future__ import annotations

import pytest

from pollama.errors import TemplateError
from pollama.prompts.chat_template import chat_capabilities, chat_round_trips_tools
from pollama.prompts.gotemplate import TemplateValues, parse_template
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
from tests.contract.conversation import messages_of, tools_of
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
