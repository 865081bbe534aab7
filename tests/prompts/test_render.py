"""From conversations and completions to prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollama.errors import TemplateError
from pollama.prompts.assemble import chat_messages, completion_messages
from pollama.prompts.images import tag_images
from pollama.prompts.native import SpecialTexts
from pollama.prompts.render import Conversation, Prompt, completion_conversation, direct_prompt
from pollama.prompts.truncate import fit_history
from pollama.types.messages import Message, Think
from pollama.types.model import Model, ModelConfig
from pollama.types.requests import CompletionRequest
from tests.prompts.support import NATIVE_TEMPLATE, assistant, model, system, user

GO = "{{ .System }}#{{ range .Messages }}<{{ .Role }}:{{ .Content }}>{{ end }}"
LEGACY = "{{ if .System }}<<{{ .System }}>>\n{{ end }}{{ .Prompt }}{{ .Response }}\n"


def prompt_of(used: Model, messages: Sequence[Message], think: Think = None) -> str:
    return Conversation(model=used, messages=messages, think=think).prompt().text


def test_the_system_text_of_a_model_leads_its_presets() -> None:
    used = model(template=GO, system="S", presets=(user("p"), assistant("a")))
    assert [m.content for m in chat_messages(used, [user("q")])] == ["S", "p", "a", "q"]
    assert [m.content for m in chat_messages(used, [system("T"), user("q")])] == ["p", "a", "T", "q"]


def test_old_thoughts_leave_the_history_of_qwen3() -> None:
    messages = [user("a"), assistant("<think>x\ny</think>\n\nb"), user("c"), assistant("<think>z</think>d")]
    kept = chat_messages(model(config=ModelConfig(model_family="qwen3")), messages)
    assert [m.content for m in kept] == ["a", "b", "c", "<think>z</think>d"]
    assert chat_messages(model(), messages) == messages


def test_a_completion_is_a_conversation_with_one_user_message() -> None:
    used = model(template=GO, system="S", presets=(user("p"),))
    request = CompletionRequest(model="m", prompt="q", images=[b"i"])
    assert [m.content for m in completion_messages(used, request)] == ["S", "p", "q"]
    with_context = CompletionRequest(model="m", prompt="q", system="T", context=[])
    assert [m.content for m in completion_messages(used, with_context)] == ["T", "q"]


def test_go_templates_see_the_thinking_level() -> None:
    used = model(template="{{ .Messages }}{{ .Think }} {{ .ThinkLevel }} {{ .IsThinkSet }}")
    assert [prompt_of(used, [], think) for think in (None, False, True, "low")] == [
        "[]false  false",
        "[]false  true",
        "[]true medium true",
        "[]true low true",
    ]


def test_native_models_are_rendered_with_their_own_template() -> None:
    used = model(chat_template=NATIVE_TEMPLATE)
    assert prompt_of(used, [user("q")]) == "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n<think>"


def test_completions_use_the_gguf_template_but_never_the_chatml_fallback() -> None:
    request = CompletionRequest(model="m", prompt="q")
    native = completion_conversation(model(chat_template="[{{ messages[0].content }}]"), request, None, SpecialTexts())
    bare = completion_conversation(model(), request, None, SpecialTexts())
    assert (native.prompt().text, bare.prompt().text) == ("[q]", "q")


@pytest.mark.parametrize(
    ("request_fields", "expected"),
    [
        ({"prompt": "q", "raw": True}, "q"),
        ({"prompt": "q", "suffix": "s"}, "<q|s>"),
        ({"prompt": "q", "template": "{{ .System }}+{{ .Prompt }}", "system": "S"}, "S+q"),
        ({"prompt": "q"}, None),
    ],
)
def test_direct_prompts(request_fields: dict[str, Any], expected: str | None) -> None:
    used = model(template="{{ if .Suffix }}<{{ .Prompt }}|{{ .Suffix }}>{{ else }}{{ .Prompt }}{{ end }}")
    prompt = direct_prompt(used, CompletionRequest(model="m", **request_fields), None)
    assert (prompt.text if prompt else None) == expected


def test_a_bad_template_of_a_request_is_reported() -> None:
    with pytest.raises(TemplateError, match="unclosed action"):
        direct_prompt(model(), CompletionRequest(model="m", prompt="q", template="{{ if"), None)


def test_bytes_cut_out_of_a_character_become_one_replacement() -> None:
    assert prompt_of(model(template='{{ .Messages }}{{ slice "é" 1 }}'), []) == "[]\ufffd"


def test_images_take_placeholders_first_and_are_numbered_over_all_messages() -> None:
    tagged = tag_images([user("a [img] b", b"1", b"2"), user("c"), user("d", b"3")])
    assert [m.content for m in tagged] == ["[img-1]a [img-0] b", "c", "[img-2]d"]


def test_media_and_bos_are_prepared_for_the_engine() -> None:
    prompt = Prompt(text="<s>a[img-0]b[img-1]", media=(b"x", b"y"), leading_bos="<s>")
    assert prompt.engine_text(adds_bos=True, marker="@") == "a@b@"
    assert prompt.engine_text(adds_bos=False) == prompt.text
    assert Prompt(text="<bos>hello<bos>").engine_text(adds_bos=True) == "hello<bos>"


async def count_characters(texts: Sequence[str]) -> list[int]:
    return [len(text) for text in texts]


async def test_history_is_dropped_from_the_start_and_system_messages_stay() -> None:
    used = model(template=GO)
    messages = [system("S1"), user("u" * 50), system("S2"), assistant("a"), user("last")]
    prompt = await fit_history(Conversation(model=used, messages=messages), 60, count_characters)
    assert prompt.text == "S1\n\nS2#<system:S1\n\nS2><assistant:a><user:last>"


async def test_the_last_message_is_kept_even_when_it_does_not_fit() -> None:
    used = model(template=GO)
    prompt = await fit_history(
        Conversation(model=used, messages=[user("a"), assistant("b"), user("c" * 99)]), 10, count_characters
    )
    assert prompt.text == f"#<user:{'c' * 99}>"


async def test_what_fits_is_counted_once() -> None:
    rounds: list[int] = []

    async def count(texts: Sequence[str]) -> list[int]:
        rounds.append(len(texts))
        return await count_characters(texts)

    messages = [message for turn in range(200) for message in (user(f"q{turn}"), assistant("a"))]
    conversation = Conversation(model=model(template=GO), messages=messages)
    await fit_history(conversation, 100_000, count)
    assert rounds == [1]
    await fit_history(conversation, 100, count)
    assert len(rounds) < 8


@given(
    st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), st.text("ab", max_size=9)), min_size=1),
    st.integers(0, 200),
)
async def test_dropping_finds_what_a_loop_finds(turns: list[tuple[str, str]], limit: int) -> None:
    messages = [Message(role=role, content=text) for role, text in turns]
    conversation = Conversation(
        model=model(template="{{ range .Messages }}{{ .Content }}|{{ end }}"), messages=messages
    )
    expected = conversation.prompt(len(messages) - 1)
    for dropped in range(len(messages)):
        if len(conversation.prompt(dropped).text) <= limit:
            expected = conversation.prompt(dropped)
            break
    assert await fit_history(conversation, limit, count_characters) == expected
