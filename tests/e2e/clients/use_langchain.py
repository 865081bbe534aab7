"""langchain-ollama against the server at argv[1]; prints what it got."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import ollama
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_ollama import ChatOllama, OllamaEmbeddings

ASK: dict[str, Any] = json.loads(Path(__file__).with_name("questions.json").read_text())
TOOLS = [{"type": "function", "function": ASK["function"]}]
model = ChatOllama(model="demo", base_url=sys.argv[1], temperature=0, reasoning=False)


def missing() -> int:
    try:
        ChatOllama(model="missing", base_url=sys.argv[1]).invoke("hi")
    except ollama.ResponseError as error:
        return error.status_code
    return 200


question = HumanMessage(ASK["weather"])
with_tools = model.bind_tools(TOOLS)
called = with_tools.invoke([question])
call = called.tool_calls[0]
answered = with_tools.invoke([question, called, ToolMessage(ASK["result"], tool_call_id=call["id"])])
structured = model.with_structured_output({"title": "person", **ASK["schema"]}, method="json_schema")
vectors = OllamaEmbeddings(model="demo", base_url=sys.argv[1]).embed_documents(["a", "b"])
print(
    json.dumps(
        {
            "chat": model.invoke(ASK["chat"]).content,
            "parts": [part.content for part in model.stream(ASK["chat"])],
            "call": {"name": call["name"], "arguments": call["args"]},
            "answer": answered.content,
            "structured": structured.invoke(ASK["structured"]),
            "vectors": list(map(len, vectors)),
            "missing": missing(),
        }
    )
)
