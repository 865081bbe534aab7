"""What the scheduler is told of a prompt."""

from __future__ import annotations

from dataclasses import replace

from pollama.inference.routing import expected_tokens, prefixes_of
from pollama.types.messages import Message
from pollama.types.options import Options
from pollama.types.requests import ChatRequest, CompletionRequest

TURNS = [Message(role="user", content="x" * 400), Message(role="assistant", content="y" * 40)]


def test_a_conversation_that_goes_on_begins_like_it_did() -> None:
    before = prefixes_of(ChatRequest(model="m", messages=TURNS))
    after = prefixes_of(ChatRequest(model="m", messages=[*TURNS, Message(role="user", content="and?")]))
    assert after[: len(before)] == before
    assert after[1].tokens == 101, "four characters a token, the role included"


def test_another_model_message_image_or_tool_is_another_beginning() -> None:
    first = prefixes_of(ChatRequest(model="m", messages=TURNS))
    assert prefixes_of(ChatRequest(model="n", messages=TURNS))[-1] != first[-1]
    seen = [replace(TURNS[0], images=[b"picture"]), TURNS[1]]
    assert prefixes_of(ChatRequest(model="m", messages=seen))[-1] != first[-1]


def test_a_text_shares_as_many_pieces_as_it_begins_alike() -> None:
    text = "".join(chr(97 + index % 26) for index in range(1024))
    first = prefixes_of(CompletionRequest(model="m", prompt=text))
    second = prefixes_of(CompletionRequest(model="m", prompt=text[:600] + "!" * 424))
    assert sum(one == other for one, other in zip(first, second, strict=True)) == 3, "the head and two pieces of 256"


def test_the_cost_is_prompt_and_answer() -> None:
    prefixes = prefixes_of(CompletionRequest(model="m", prompt="x" * 400))
    assert expected_tokens(prefixes, Options().updated({"num_predict": 7})) == 107
    assert expected_tokens((), Options()) == 128
