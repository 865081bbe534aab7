"""The openai client for Python against the server at argv[1]; prints what it got."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import openai

ASK: dict[str, Any] = json.loads(Path(__file__).with_name("questions.json").read_text())
TOOLS: Any = [{"type": "function", "function": ASK["function"]}]
client = openai.OpenAI(base_url=f"{sys.argv[1]}/v1", api_key="any", max_retries=0)


def chat(messages: list[Any], **more: Any) -> Any:
    return client.chat.completions.create(
        model="demo", temperature=0, reasoning_effort="none", messages=messages, **more
    )


def user(content: str) -> list[Any]:
    return [{"role": "user", "content": content}]


def missing() -> int:
    try:
        client.models.retrieve("missing")
    except openai.NotFoundError as error:
        return error.status_code
    return 200


called = chat(user(ASK["weather"]), tools=TOOLS).choices[0].message
call = called.tool_calls[0]
result = {"role": "tool", "tool_call_id": call.id, "content": ASK["result"]}
answered = chat([*user(ASK["weather"]), called, result], tools=TOOLS)
schema = {"type": "json_schema", "json_schema": {"name": "person", "schema": ASK["schema"], "strict": True}}
structured = chat(user(ASK["structured"]), response_format=schema)
embedded = client.embeddings.create(model="demo", input=["a", "b"])
print(
    json.dumps(
        {
            "chat": chat(user(ASK["chat"])).choices[0].message.content,
            "parts": [chunk.choices[0].delta.content or "" for chunk in chat(user(ASK["chat"]), stream=True)],
            "call": {"name": call.function.name, "arguments": json.loads(call.function.arguments)},
            "answer": answered.choices[0].message.content,
            "structured": json.loads(structured.choices[0].message.content),
            "vectors": [len(each.embedding) for each in embedded.data],
            "missing": missing(),
        }
    )
)
