"""Training data: chats drawn by a curriculum, tokenised, masked and cut into batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy
import talk
from conversation import Chat, Exchange, completion, last_step, messages_before_last, render
from numpy.typing import NDArray
from tokenizer import Tokenizer
from toolbox import Tool, toolbox, use
from words import Words, seeded

Sample = tuple[NDArray[numpy.int64], NDArray[numpy.bool_]]


@dataclass(frozen=True)
class Batch:
    """Padded token numbers [rows, time] and where the next token counts, [rows, time - 1]."""

    tokens: NDArray[numpy.int64]
    counted: NDArray[numpy.bool_]


def draw_chat(w: Words, progress: float) -> Chat:
    """A chat for the moment of the training: `progress` runs from 0 to 1."""
    if w.chance(max(0.0, 0.9 - 12 * progress)):
        return Chat("", [], [talk.repeat(w, 2, 6 + int(100 * progress))])
    if progress > 0.5 and w.chance(0.006):
        return _long_chat(w)
    number = w.rng.choice((1, 1, 2, 3)) if progress > 0.05 else 1
    kind = w.rng.random()
    if kind < 0.22:
        return Chat(_plain_system(w), [], _small_talk(w, number))
    if kind < 0.46:
        return _fact_chat(w, number, most=1 + int(min(5.0, 20 * progress)))
    return _tool_chat(w, number, most=1 if progress < 0.08 else 4, easy=progress < 0.08)


def _plain_system(w: Words) -> str:
    """A system text that changes nothing, mostly none."""
    draw = w.rng.random()
    return "" if draw < 0.7 else "You are a helpful assistant." if draw < 0.9 else w.sentence()


def _small_talk(w: Words, number: int) -> list[Exchange]:
    """Exchanges that need neither facts nor tools."""
    chosen: list[Exchange] = []
    for _ in range(number):
        draw = w.rng.random()
        if draw < 0.04 and number > 1:
            chosen += talk.remember(w)
        elif draw < 0.1:
            chosen.append(talk.greet(w))
        elif draw < 0.36:
            chosen.append(talk.count(w, w.rng.choice((12, 12, 12, 30, 30, 100))))
        elif draw < 0.66:
            chosen.append(talk.repeat(w, high=30 if w.chance(0.03) else 8))
        elif draw < 0.92:
            chosen.append(talk.write_json(w))
        else:
            chosen.append((talk.untold if w.chance(0.25) else talk.unknown)(w))
    return chosen


def _opening(w: Words, number: int) -> list[Exchange]:
    """Small talk before the matter, in a third of the chats that have several exchanges."""
    return _small_talk(w, number - 1) if number > 1 and w.chance(0.35) else []


def _fact_chat(w: Words, number: int, most: int) -> Chat:
    """A system text with facts and questions for some of them."""
    if w.chance(0.08):
        return Chat(_plain_system(w), [], [talk.recall_told(w) for _ in range(number)])
    known = talk.facts(w, w.rng.randint(1, most))
    lines = [fact[0] for fact in known]
    exchanges = _opening(w, number) + [talk.recall(w, w.rng.choice(known)) for _ in range(number)]
    if w.chance(0.3):
        lines.insert(0, "You are a helpful assistant.")
    elif w.chance(0.25):
        line, exchange = talk.persona(w)
        lines.insert(0, line)
        exchanges[w.rng.randrange(len(exchanges))] = exchange
    if w.chance(0.1):
        exchanges[-1] = w.rng.choice((talk.repeat, talk.count, talk.unknown))(w)
    return Chat(w.rng.choice((" ", " ", "\n")).join(lines), [], exchanges)


def _tool_chat(w: Words, number: int, most: int, easy: bool) -> Chat:
    """Tools, sometimes a fact, and questions that mostly need a tool."""
    tools = toolbox(w, w.rng.randint(w.rng.randint(1, most), most), easy)
    known = talk.facts(w, 1) if w.chance(0.15) else []
    system = known[0][0] if known else _plain_system(w)
    exchanges = _opening(w, number) + [_with_tools(w, tools, known) for _ in range(number)]
    return Chat(system, [tool.declared for tool in tools], exchanges)


def _with_tools(w: Words, tools: list[Tool], known: list[talk.Fact]) -> Exchange:
    """An exchange in a chat that has tools; one in seven does not need them."""
    draw = w.rng.random()
    if draw < 0.85:
        return use(w, w.rng.choice(tools), w.chance(0.3))
    if known:
        return talk.recall(w, known[0])
    return w.rng.choice((talk.greet, talk.count, talk.repeat, talk.unknown))(w)


def _long_chat(w: Words) -> Chat:
    """Several hundred to about two thousand tokens: many facts, filler, tools and exchanges."""
    size = w.rng.choice((1, 1, 2))
    known, tools = talk.facts(w, 8 * size), toolbox(w, 4)
    lines = [fact[0] for fact in known] + [w.sentence() for _ in range(8 * size)]
    w.rng.shuffle(lines)
    exchanges = [talk.recall(w, w.rng.choice(known)) for _ in range(6)] + _small_talk(w, 3 * size)
    exchanges += [use(w, w.rng.choice(tools), w.chance(0.5)) for _ in range(3)]
    w.rng.shuffle(exchanges)
    return Chat(" ".join(lines), [tool.declared for tool in tools], exchanges)


class Encoder:
    """Turns chats into token numbers and marks the tokens that an assistant wrote."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self._start = tokenizer.ids["<|im_start|>"]
        self._end = tokenizer.ids["<|im_end|>"]
        self._head = tokenizer.encode("assistant\n")
        self._no_thought = tokenizer.encode("<think>\n\n</think>\n\n")

    def encode(self, chat: Chat, thinking: bool) -> Sample:
        """Token numbers, and for each whether it is to be learnt."""
        prompt = render(messages_before_last(chat), chat.tools, thinking)
        text = prompt + completion(last_step(chat), thinking) + "<|im_end|>"
        numbers = self.tokenizer.encode(text)
        return numpy.array(numbers, dtype=numpy.int64), self._mask(numbers)

    def _mask(self, numbers: list[int]) -> NDArray[numpy.bool_]:
        mask = numpy.zeros(len(numbers), dtype=numpy.bool_)
        for index, number in enumerate(numbers):
            if number != self._start:
                continue
            begin = index + 1 + len(self._head)
            if numbers[index + 1 : begin] != self._head:
                continue
            if numbers[begin : begin + len(self._no_thought)] == self._no_thought:
                begin += len(self._no_thought)
            mask[begin : numbers.index(self._end, begin) + 1] = True
        return mask


def pad(samples: list[Sample]) -> Batch:
    """The samples as rows; the padding is token 0 and never counted."""
    time = max(len(numbers) for numbers, _ in samples)
    tokens = numpy.zeros((len(samples), time), dtype=numpy.int64)
    counted = numpy.zeros((len(samples), time - 1), dtype=numpy.bool_)
    for row, (numbers, mask) in enumerate(samples):
        tokens[row, : len(numbers)] = numbers
        counted[row, : len(numbers) - 1] = mask[1:]
    return Batch(tokens, counted)


def pack(samples: list[Sample], budget: int) -> Iterator[list[Sample]]:
    """Samples of like length together, each group at most `budget` tokens with its padding."""
    group: list[Sample] = []
    for sample in sorted(samples, key=lambda sample: len(sample[0])):
        if group and (len(group) + 1) * len(sample[0]) > budget:
            yield group
            group = []
        group.append(sample)
    yield group


def round_of_batches(tokenizer: Tokenizer, seed: int, progress: float, chats: int, budget: int) -> list[Batch]:
    """Batches of `chats` fresh chats in random order, the same for the same arguments."""
    rng = seeded(seed)
    words, encoder = Words(rng, held_out=False), Encoder(tokenizer)
    samples = [encoder.encode(draw_chat(words, progress), thinking=rng.random() < 0.5) for _ in range(chats)]
    batches = [pad(group) for group in pack(samples, budget)]
    rng.shuffle(batches)
    return batches
