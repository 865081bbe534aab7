"""Prompts and tokens of requests, with a tokenizer of bytes in place of a model's."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any, cast

import pytest

from pollama.inference.embedding import tokens_of
from pollama.inference.prompting import ChatPrompter, CompletionPrompter
from pollama.types.generation import RunnerInfo
from pollama.types.messages import Message
from pollama.types.ports import Runner
from pollama.types.requests import ChatRequest, CompletionRequest
from tests.prompts.support import model

BOS, EOS = 256, 257
INFO = RunnerInfo(
    context_length=64,
    trained_context=64,
    sequences=1,
    cells=64,
    embedding_length=8,
    vocabulary_length=258,
    bos=BOS,
    eos=EOS,
    bos_text="",
    adds_bos=True,
    adds_eos=True,
    can_shift=True,
)


class ByteRunner:
    """Every byte of UTF-8 is a token, as where a vocabulary has no token for a character."""

    info = INFO

    async def tokenize(self, text: str, *, add_special: bool = False, parse_special: bool = True) -> list[int]:
        plain = list(text.encode())
        return [BOS, *plain, EOS] if add_special else plain

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.encode()) for text in texts]

    async def detokenize(self, tokens: Sequence[int]) -> str:
        return bytes(tokens).decode(errors="replace")


RUNNER = cast("Runner", ByteRunner())


@pytest.mark.parametrize("context_length", range(4, 24))
async def test_a_text_cut_inside_a_character_fits_its_context(context_length: int) -> None:
    tokens = await tokens_of("a😀é日" * 9, RUNNER, context_length=context_length, truncate=True)
    assert 2 < len(tokens) <= context_length


class Watched(list[bytes]):
    """Images that note which thread a prompt takes them in."""

    def __init__(self) -> None:
        super().__init__([b"image"])
        self.threads: set[threading.Thread] = set()

    def __iter__(self) -> Iterator[bytes]:
        self.threads.add(threading.current_thread())
        return super().__iter__()


@pytest.mark.parametrize("truncate", [None, False])
@pytest.mark.parametrize("context_length", [64, 1])
async def test_conversations_are_rendered_off_the_event_loop(truncate: bool | None, context_length: int) -> None:
    images = Watched()
    messages = [Message(role="user", content="q", images=images) for _ in range(3)]
    request = ChatRequest(model="m", messages=messages, truncate=truncate)
    prompter = ChatPrompter(model(template="{{ range .Messages }}{{ .Content }}{{ end }}"), request, None)
    images.threads.clear()
    await _rendered(prompter, context_length)
    assert images.threads
    assert threading.current_thread() not in images.threads


async def test_a_template_of_a_request_is_rendered_off_the_event_loop() -> None:
    images = Watched()
    request = CompletionRequest(model="m", prompt="q", template="{{ .Prompt }}", images=images)
    await _rendered(CompletionPrompter(model(), request, None), 64)
    assert images.threads
    assert threading.current_thread() not in images.threads


async def _rendered(prompter: Any, context_length: int) -> None:
    await prompter.prompt(RUNNER, context_length)
