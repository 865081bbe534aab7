"""The official `ollama` Python client against a real server."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

import jsonschema
import numpy as np
import ollama
import pytest

from tests.e2e.conftest import MODELS, create_from_file
from tests.e2e.server import Server

GREEDY = {"temperature": 0, "num_predict": 12}
COUNT = " one two three four five six seven eight nine ten"


def test_generate(client: ollama.Client) -> None:
    answer = client.generate("probe", "please count", raw=True, options=GREEDY)
    assert answer.response == COUNT
    assert (answer.done, answer.done_reason, answer.prompt_eval_count, answer.eval_count) == (True, "stop", 3, 11)


def test_generate_streams_one_record_per_token(client: ollama.Client) -> None:
    records = list(client.generate("probe", "please count", raw=True, options=GREEDY, stream=True))
    assert [record.response for record in records] == [*(f" {word}" for word in COUNT.split()), ""]
    assert [record.done for record in records] == [False] * 10 + [True]


def test_context_continues_a_conversation(client: ollama.Client) -> None:
    first = client.generate("probe", "please json", options=GREEDY)
    second = client.generate("probe", "please count", options=GREEDY, context=first.context)
    assert second.response == COUNT
    assert first.context is not None
    assert second.context is not None
    assert len(second.context) > len(first.context)


def test_chat(client: ollama.Client) -> None:
    answer = client.chat("probe-chat", [{"role": "user", "content": "please count"}], options=GREEDY)
    assert answer.message.content == COUNT
    assert answer.message.role == "assistant"


def test_chat_streams(client: ollama.Client) -> None:
    messages = [{"role": "user", "content": "please count"}]
    records = list(client.chat("probe-chat", messages, options=GREEDY, stream=True))
    assert "".join(record.message.content or "" for record in records) == COUNT
    assert records[-1].done_reason == "stop"


def test_chat_with_the_weights_own_template(client: ollama.Client) -> None:
    answer = client.chat("probe-native", [{"role": "user", "content": "please count"}], options=GREEDY)
    assert answer.message.content == COUNT.strip()


def test_thinking_is_separated(client: ollama.Client) -> None:
    answer = client.chat("probe-chat", [{"role": "user", "content": "please ponder"}], options=GREEDY, think=True)
    assert answer.message.thinking == "first, we look at the light and reason about it"
    assert answer.message.content == "because of the air above us."


def test_tool_call(client: ollama.Client) -> None:
    def get_weather(city: str, days: int) -> str:
        """Tell the weather.

        Args:
          city: the city
          days: how many days
        """
        return f"{city} {days}"

    answer = client.chat(
        "probe-chat", [{"role": "user", "content": "the weather"}], tools=[get_weather], options=GREEDY
    )
    assert answer.message.tool_calls is not None
    call = answer.message.tool_calls[0].function
    assert (call.name, call.arguments) == ("get_weather", {"city": "Paris", "days": 3})


async def test_async_generate_and_chat(async_client: ollama.AsyncClient) -> None:
    answer = await async_client.generate("probe", "please count", raw=True, options=GREEDY)
    assert answer.response == COUNT
    stream = await async_client.chat(
        "probe-chat", [{"role": "user", "content": "please count"}], options=GREEDY, stream=True
    )
    assert "".join([record.message.content or "" async for record in stream]) == COUNT


def test_json_schema_output(client: ollama.Client) -> None:
    schema = {
        "type": "object",
        "properties": {"color": {"type": "string", "enum": ["red", "green"]}, "ok": {"type": "boolean"}},
        "required": ["color", "ok"],
    }
    answer = client.generate(
        "probe", "please count", raw=True, format=schema, options={"temperature": 0, "num_predict": 60}
    )
    jsonschema.validate(json.loads(answer.response or ""), schema)


def test_a_format_binds_a_model_that_could_think_and_does_not(client: ollama.Client) -> None:
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    options = {"temperature": 0, "num_predict": 60}
    messages = [{"role": "user", "content": "please count"}]
    answer = client.chat("probe-chat", messages, think=True, format=schema, options=options)
    jsonschema.validate(json.loads(answer.message.content or ""), schema)


def test_embed(client: ollama.Client) -> None:
    answer = client.embed("probe-embed", ["hello world", "the river", "hello world"])
    first, other, again = answer.embeddings
    assert sum(value * value for value in first) == pytest.approx(1, abs=1e-5)
    assert first == pytest.approx(again, abs=1e-5)
    assert first != pytest.approx(other, abs=1e-2)


def test_embed_cut_to_dimensions_stays_normalised(client: ollama.Client) -> None:
    vector = client.embed("probe-embed", "hello world", dimensions=8).embeddings[0]
    assert len(vector) == 8
    assert sum(value * value for value in vector) == pytest.approx(1, abs=1e-5)


def test_the_old_endpoint_leaves_raw_vectors_as_they_are(server: Server, client: ollama.Client, tmp_path: Path) -> None:
    """Those of models that say they do not make unit vectors; the new endpoint makes them for all."""
    model = tmp_path / "raw.gguf"
    model.write_bytes(_that_says_it_is_raw((MODELS / "probe-embed.gguf").read_bytes()))
    create_from_file(server, "raw-embed", model)
    raw = np.array(client.embeddings("raw-embed", "hello world").embedding)
    unit = np.array(client.embeddings("probe-embed", "hello world").embedding)
    assert abs(np.linalg.norm(raw) - 1) > 0.01
    assert np.linalg.norm(unit) == pytest.approx(1, abs=1e-5)
    assert unit == pytest.approx(raw / np.linalg.norm(raw), abs=1e-5)
    assert client.embed("raw-embed", "hello world").embeddings[0] == pytest.approx(unit, abs=1e-5)


def _that_says_it_is_raw(data: bytes) -> bytes:
    """Return a GGUF of BERT's with two more keys, 64 bytes together: what is behind them stays aligned."""
    (count,) = struct.unpack_from("<Q", data, 16)
    flag, filler = b"bert.normalize_embeddings", b"pad"
    keys = struct.pack(f"<Q{len(flag)}sI?", len(flag), flag, 7, False)
    keys += struct.pack(f"<Q{len(filler)}sIQ3s", len(filler), filler, 8, 3, b"...")
    assert len(keys) == 64
    return data[:16] + struct.pack("<Q", count + 2) + keys + data[24:]


def test_create_copy_show_list_delete(client: ollama.Client) -> None:
    client.create("made", from_="probe", system="Be brief.", parameters={"temperature": 0.5, "stop": ["END"]})
    shown = client.show("made")
    assert shown.parameters is not None
    assert "temperature                    0.5" in shown.parameters
    assert "SYSTEM Be brief." in (shown.modelfile or "")
    client.copy("made", "copied:v2")
    names = [model.model for model in client.list().models]
    assert {"made:latest", "copied:v2"} <= set(names)
    client.delete("made")
    client.delete("copied:v2")
    assert {"made:latest", "copied:v2"}.isdisjoint(model.model for model in client.list().models)


def test_create_from_an_uploaded_gguf(client: ollama.Client) -> None:
    path = MODELS / "probe.gguf"
    digest = client.create_blob(path)
    assert digest == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    statuses = [record.status for record in client.create("uploaded", files={path.name: digest}, stream=True)]
    assert statuses[-1] == "success"
    assert client.generate("uploaded", "please count", raw=True, options=GREEDY).response == COUNT
    client.delete("uploaded")


def test_ps_shows_what_is_loaded_and_keep_alive_unloads(client: ollama.Client) -> None:
    client.generate("probe", keep_alive="10m")
    loaded = {model.model: model for model in client.ps().models}
    assert loaded["probe:latest"].context_length
    assert loaded["probe:latest"].size
    assert client.generate("probe", keep_alive=0).done_reason == "unload"


def test_missing_model_is_a_404(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match="model 'nope' not found") as caught:
        client.generate("nope", "x")
    assert caught.value.status_code == 404
