"""The HTTP face of a runner, over a real engine."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from pollama.native.vocabulary import Vocabulary
from pollama.runners import protocol
from pollama.runners.answers import AnswerWriter
from pollama.runners.llamacpp.app import RunnerState, build_app
from tests.engine.conftest import OpenEngine
from tests.engine.support import spec_of


def recording(real: Callable[..., Any], threads: set[threading.Thread]) -> Callable[..., Any]:
    """Return ``real``, noting the threads that call it."""

    def call(*arguments: Any, **named: Any) -> Any:
        threads.add(threading.current_thread())
        return real(*arguments, **named)

    return call


async def test_the_tokenizer_never_runs_where_streams_are_written(
    probe_model: Path, open_engine: OpenEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, connection = socket.socketpair()
    answers = AnswerWriter(connection, asyncio.get_running_loop())
    state, threads = RunnerState(answers), set[threading.Thread]()
    state.engine = open_engine(spec_of(probe_model))
    for name in ("tokenize", "detokenize"):
        monkeypatch.setattr(Vocabulary, name, recording(getattr(Vocabulary, name), threads))
    async with TestClient(TestServer(build_app(state))) as client:
        requests = [
            (protocol.TOKENIZE, {"text": "the river"}, "tokens"),
            (protocol.COUNT_TOKENS, {"texts": ["the river", ""]}, "counts"),
            (protocol.DETOKENIZE, {"tokens": [300, 301]}, "text"),
        ]
        for path, body, field in requests:
            threads.clear()
            answer = await client.post(path, json=body)
            assert (await answer.json())[field]
            assert threads
            assert threading.current_thread() not in threads
    head.close()
    answers.close()
