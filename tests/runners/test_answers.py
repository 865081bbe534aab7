"""The channel of the answers, over a real pair of sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from pollama.errors import GenerationError
from pollama.runners.answers import Answers, AnswerWriter, ExpectedAnswer
from pollama.types.generation import Delta, Finished

DONE = Finished(reason="stop")


@pytest.fixture
async def ends() -> AsyncIterator[tuple[AnswerWriter, socket.socket]]:
    """The runner's end, and the socket of the head's."""
    head, runner = socket.socketpair()
    writer = AnswerWriter(runner, asyncio.get_running_loop())
    yield writer, head
    writer.close()
    head.close()


@pytest.fixture
async def connected(ends: tuple[AnswerWriter, socket.socket]) -> AsyncIterator[tuple[AnswerWriter, Answers]]:
    writer, head = ends
    answers = await Answers.connect(head)
    yield writer, answers
    answers.close()


async def text_of(answer: ExpectedAnswer) -> str:
    return "".join([item.text async for item in answer if isinstance(item, Delta)])


async def test_each_answer_gets_what_is_its_own(connected: tuple[AnswerWriter, Answers]) -> None:
    writer, answers = connected
    with answers.expect() as first, answers.expect() as second:
        for item in (Delta(text="a"), Delta(text="b"), DONE):
            writer.put(first.number, item)
            writer.put(second.number, Delta(text=item.text.upper()) if isinstance(item, Delta) else item)
        writer.put(999, Delta(text="nobody waits for this"))
        writer.flush()
        assert list(await asyncio.gather(text_of(first), text_of(second))) == ["ab", "AB"]
        assert first.finished


async def test_nothing_is_lost_and_nothing_waits_when_the_head_does_not_read(
    ends: tuple[AnswerWriter, socket.socket],
) -> None:
    writer, head = ends
    words = [f"word {number} " for number in range(50_000)]
    for word in words:
        writer.put(1, Delta(text=word))
        writer.flush()
    writer.put(1, DONE)
    writer.flush()
    answers = await Answers.connect(head)
    with answers.expect() as answer:
        assert await text_of(answer) == "".join(words)
    answers.close()


async def test_a_lost_channel_ends_what_runs_and_what_is_asked_for_later(
    connected: tuple[AnswerWriter, Answers],
) -> None:
    writer, answers = connected
    with answers.expect() as answer:
        writer.close()
        with pytest.raises(ConnectionResetError):
            await text_of(answer)
    with answers.expect() as late, pytest.raises(ConnectionResetError):
        await text_of(late)


@pytest.mark.parametrize("damaged", [b'{"number": 1}\n', b"what some library prints\n"])
async def test_a_damaged_frame_ends_all_answers(damaged: bytes) -> None:
    head, runner = socket.socketpair()
    answers = await Answers.connect(head)
    with answers.expect() as answer:
        runner.send(damaged)
        with pytest.raises(GenerationError, match="unexpected response of the runner"):
            await text_of(answer)
    answers.close()
    runner.close()


async def test_a_head_that_is_gone_is_no_concern_of_the_engine(ends: tuple[AnswerWriter, socket.socket]) -> None:
    writer, head = ends
    head.close()
    for _ in range(2):
        writer.put(1, Delta(text="x"))
        writer.flush()


async def test_a_writer_that_is_closed_while_the_head_does_not_read_leaves_nothing_to_do(
    ends: tuple[AnswerWriter, socket.socket],
) -> None:
    writer, _ = ends
    failures: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    for _ in range(3):
        writer.put(1, Delta(text="x" * 4_000_000))
        writer.flush()
    writer.close()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert failures == []
