"""What the clients of a benchmark ask: prompts of a known length, and how the answers are made."""

from __future__ import annotations

import itertools
import random
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

_LETTERS_PER_WORD: Final = 3
DEMO_TEMPLATE: Final = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
"""A turn of the demo model without thinking."""
SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "sizes": {"type": "array", "items": {"type": "integer"}, "minItems": 2},
        "open": {"type": "boolean"},
    },
    "required": ["name", "sizes", "open"],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One load. ``prompt_words`` are the lengths of the prompts, taken in turn; ``shared_words`` are equal in all.

    ``rate`` is requests per second whatever the answers take (an open loop); 0: each of ``clients`` asks again as soon
    as it has its answer (a closed loop).
    """

    name: str
    clients: int = 1
    prompt_words: tuple[int, ...] = (8,)
    shared_words: int = 0
    answer_tokens: int = 64
    sampled: bool = False
    schema: bool = False
    rate: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request, before a dialect puts it into words."""

    prompt: str
    tokens: int
    sampled: bool = False
    seed: int = 0
    schema: Mapping[str, Any] = field(default_factory=dict)


def words(count: int, dice: random.Random) -> str:
    """Return ``count`` random words; a random model's tokenizer makes two tokens of each."""
    return " ".join("".join(dice.choices(string.ascii_lowercase, k=_LETTERS_PER_WORD)) for _ in range(count))


def random_texts(scenario: Scenario, seed: int) -> Iterator[str]:
    """Yield prompts without end, the same ones for the same seed, others for each load, as servers remember prompts.

    Only ``shared_words`` make their beginnings alike.
    """
    dice = random.Random(f"{scenario.name} {seed}")  # noqa: S311 (reproducible)
    begin = words(scenario.shared_words, random.Random(0)) + " " if scenario.shared_words else ""  # noqa: S311
    for length in itertools.cycle(scenario.prompt_words):
        yield begin + words(length, dice)


def counting_texts(_: Scenario, seed: int) -> Iterator[str]:
    """Yield questions that the demo model answers at length."""
    dice = random.Random(seed)  # noqa: S311 (reproducible)
    while True:
        first = dice.randrange(1, 50)
        yield DEMO_TEMPLATE.format(f"Count from {first} to {first + 40}.")


def asks(scenario: Scenario, texts: Iterator[str]) -> Iterator[Ask]:
    """Yield the requests of a scenario."""
    for number, text in enumerate(texts):
        yield Ask(
            prompt=text,
            tokens=scenario.answer_tokens,
            sampled=scenario.sampled,
            seed=number,
            schema=SCHEMA if scenario.schema else {},
        )
