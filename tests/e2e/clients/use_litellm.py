"""litellm, with its OpenAI and its Ollama provider, against the server at argv[1]; prints what it got."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import litellm

ASK: dict[str, Any] = json.loads(Path(__file__).with_name("questions.json").read_text())
TOOLS = [{"type": "function", "function": ASK["function"]}]
URL, PROVIDER = sys.argv[1:3]
BASE = f"{URL}/v1" if PROVIDER == "openai" else URL
QUIET: dict[str, Any] = {"reasoning_effort": "none"} if PROVIDER == "openai" else {"think": False}


def chat(messages: list[Any], **more: Any) -> Any:
    return litellm.completion(
        model=f"{PROVIDER}/demo",
        api_base=BASE,
        api_key="any",
        temperature=0,
        messages=messages,
        allowed_openai_params=["reasoning_effort"],
        **QUIET,
        **more,
    )


def user(content: str) -> list[Any]:
    return [{"role": "user", "content": content}]


def missing() -> int:
    try:
        litellm.completion(model=f"{PROVIDER}/missing", api_base=BASE, api_key="any", messages=user("hi"))
    except litellm.exceptions.APIError as error:
        return 404 if "not found" in str(error) else int(error.status_code)
    except litellm.exceptions.NotFoundError as error:
        return int(error.status_code)
    return 200


called = chat(user(ASK["weather"]), tools=TOOLS).choices[0].message
call = called.tool_calls[0]
result = {"role": "tool", "tool_call_id": call.id, "name": call.function.name, "content": ASK["result"]}
answered = chat([*user(ASK["weather"]), called.model_dump(), result], tools=TOOLS)
schema = {"type": "json_schema", "json_schema": {"name": "person", "schema": ASK["schema"], "strict": True}}
structured = chat(user(ASK["structured"]), response_format=schema)
if PROVIDER == "openai":
    embedded = litellm.embedding(
        model="openai/demo", input=["a", "b"], api_base=BASE, api_key="any", encoding_format="float"
    )
else:
    embedded = litellm.embedding(model="ollama/demo", input=["a", "b"], api_base=BASE)
print(
    json.dumps(
        {
            "chat": chat(user(ASK["chat"])).choices[0].message.content,
            "parts": [part.choices[0].delta.content or "" for part in chat(user(ASK["chat"]), stream=True)],
            "call": {"name": call.function.name, "arguments": json.loads(call.function.arguments)},
            "answer": answered.choices[0].message.content,
            "structured": json.loads(structured.choices[0].message.content),
            "vectors": [len(each["embedding"]) for each in embedded.data],
            "missing": missing(),
        }
    )
)
