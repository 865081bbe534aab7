"""The anthropic client for Python against the server at argv[1]; prints what it got."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import anthropic

ASK: dict[str, Any] = json.loads(Path(__file__).with_name("questions.json").read_text())
FUNCTION = ASK["function"]
TOOLS: Any = [
    {"name": FUNCTION["name"], "description": FUNCTION["description"], "input_schema": FUNCTION["parameters"]}
]
client = anthropic.Anthropic(base_url=sys.argv[1], api_key="any", max_retries=0)
SETTINGS: dict[str, Any] = {
    "model": "demo",
    "max_tokens": 64,
    "thinking": {"type": "disabled"},
    "extra_body": {"temperature": 0},
}


def chat(messages: list[Any], **more: Any) -> Any:
    return client.messages.create(messages=messages, **SETTINGS, **more)


def user(content: str) -> list[Any]:
    return [{"role": "user", "content": content}]


def streamed() -> list[str]:
    with client.messages.stream(messages=user(ASK["chat"]), **SETTINGS) as stream:
        return list(stream.text_stream)


def missing() -> int:
    try:
        client.messages.create(model="missing", max_tokens=1, messages=user("hi"))
    except anthropic.NotFoundError as error:
        return error.status_code
    return 200


@anthropic.beta_tool
def get_weather(city: str) -> str:
    """Return the weather of a city.

    Args:
        city: Its name.
    """
    assert city == "Oslo"
    return str(ASK["result"])


called = chat(user(ASK["weather"]), tools=TOOLS)
call = next(block for block in called.content if block.type == "tool_use")
result = {"type": "tool_result", "tool_use_id": call.id, "content": ASK["result"]}
history = [
    *user(ASK["weather"]),
    {"role": "assistant", "content": called.content},
    {"role": "user", "content": [result]},
]
answered = chat(history, tools=TOOLS)
ran = client.beta.messages.tool_runner(messages=user(ASK["weather"]), tools=[get_weather], **SETTINGS).until_done()
assert [block.text for block in ran.content if block.type == "text"] == [answered.content[0].text]
structured = chat(user(ASK["structured"]), output_config={"format": {"type": "json_schema", "schema": ASK["schema"]}})
plain = chat(user(ASK["chat"]))
counted = client.messages.count_tokens(model="demo", messages=user(ASK["chat"]), thinking={"type": "disabled"})
assert counted.input_tokens == plain.usage.input_tokens
print(
    json.dumps(
        {
            "chat": plain.content[0].text,
            "parts": streamed(),
            "call": {"name": call.name, "arguments": call.input},
            "answer": answered.content[0].text,
            "structured": json.loads(structured.content[0].text),
            "missing": missing(),
        }
    )
)
