"""Word pools, and the split of each pool into training words and held-out words.

The split is by a hash of the word, so what an evaluation asks about never occurred in training.
Invented words have no end, so copying has to be learnt and cannot be memorised.
"""

from __future__ import annotations

import hashlib
import random
import tomllib
from pathlib import Path

_TEXT = (Path(__file__).parent / "words.toml").read_text("utf-8")
_POOLS = {name: text.split() for name, text in tomllib.loads(_TEXT).items()}
_REAL = [word for name in ("nouns", "adjectives", "names", "places", "verbs") for word in _POOLS[name]]
# Accented Latin, Greek, Cyrillic, Arabic, Devanagari, kana, Chinese, Hangul, faces: first and last letter.
_SCRIPTS = (
    *((0xC0, 0xD6), (0xE0, 0xF6), (0x3B1, 0x3C9), (0x410, 0x44F), (0x627, 0x63A), (0x905, 0x939)),
    *((0x3042, 0x3093), (0x4E00, 0x9FA5), (0xAC00, 0xD7A3), (0x1F600, 0x1F64F)),
)
_CODAS = ["", "", "", *_POOLS["codas"]]
_LETTERS = "abcdefghijklmnopqrstuvwxyz"

# Words that a first try is likely to use; they stay in training whatever their hash.
ALWAYS_TRAINED = frozenset(_POOLS["always_trained"])


def is_held_out(word: str) -> bool:
    """Whether the word belongs to the evaluation: one in eight does, whatever its case."""
    return hashlib.sha256(word.lower().encode("utf-8")).digest()[0] % 8 == 0


def seeded(seed: int | str) -> random.Random:
    """A repeatable source of chance; nothing here is secret."""
    return random.Random(seed)  # noqa: S311


class Words:
    """A seeded source of words from one side of the split."""

    def __init__(self, rng: random.Random, held_out: bool) -> None:
        self.rng = rng
        self.held_out = held_out
        self.nouns = self._side("nouns")
        self.adjectives = self._side("adjectives")
        self.names = self._side("names")
        self.places = self._side("places")
        self.foreign = self._side("foreign")
        self.verbs = self._side("verbs")

    def chance(self, probability: float) -> bool:
        """True with the probability."""
        return self.rng.random() < probability

    def number(self, digits: int = 3) -> int:
        """A whole number of one to `digits` digits, each length as likely."""
        return self.rng.randrange(10 ** self.rng.randint(1, digits))

    def invented(self) -> str:
        """An invented lower-case word: pronounceable, pieced together from real ones, or random letters."""
        makers = (self._syllables, self._syllables, self._pieces, self._pieces, self._random_letters)
        while True:
            word = self.rng.choice(makers)()
            if is_held_out(word) == self.held_out:
                return word

    def alien(self) -> str:
        """A word in another script, from the pool or of random letters of one script."""
        if self.chance(0.6):
            return self.rng.choice(self.foreign)
        while True:
            first, last = self.rng.choice(_SCRIPTS)
            word = "".join(chr(self.rng.randint(first, last)) for _ in range(self.rng.randint(1, 5)))
            if is_held_out(word) == self.held_out:
                return word

    def noun(self) -> str:
        """A noun, one in four invented."""
        return self.invented() if self.chance(0.25) else self.rng.choice(self.nouns)

    def adjective(self) -> str:
        """An adjective of the pool."""
        return self.rng.choice(self.adjectives)

    def name(self) -> str:
        """A person's name, one in four invented."""
        return self.invented().capitalize() if self.chance(0.25) else self.rng.choice(self.names)

    def place(self) -> str:
        """A place's name, one in four invented."""
        return self.invented().capitalize() if self.chance(0.25) else self.rng.choice(self.places)

    def word(self) -> str:
        """Any single word, in any case."""
        draw = self.rng.random()
        if draw < 0.04:
            return self.alien()
        if draw < 0.5:
            word = self.invented()
        else:
            word = self.rng.choice(self.rng.choice((self.nouns, self.adjectives, self.names, self.places, self.verbs)))
        return self._recase(word)

    def words(self, low: int, high: int) -> str:
        """Between `low` and `high` words."""
        return " ".join(self.word() for _ in range(self.rng.randint(low, high)))

    def sentence(self) -> str:
        """A plain sentence of about five to twelve words."""
        parts = [self.rng.choice(_POOLS["little"]), self.adjective(), self.noun(), self.rng.choice(self.verbs)]
        parts += [self.rng.choice(_POOLS["little"]), self.noun()]
        if self.chance(0.5):
            parts += [self.rng.choice(_POOLS["little"]), self.adjective(), self.noun()]
        return " ".join(parts).capitalize() + self.rng.choice(".....!?")

    def value(self) -> str:
        """Something worth looking up: a word, a pair of words, a number, a code."""
        draw = self.rng.random()
        if draw < 0.35:
            return self.word()
        if draw < 0.5:
            return self.words(2, 3)
        if draw < 0.65:
            return self.place()
        if draw < 0.75:
            return f"{self.adjective()} {self.noun()}"
        if draw < 0.9:
            return str(self.number(6))
        return f"{self.rng.choice(_LETTERS).upper()}{self.number(4)}"

    def sample(self, count: int) -> list[str]:
        """Different nouns."""
        chosen: list[str] = []
        while len(chosen) < count:
            noun = self.noun()
            if noun not in chosen:
                chosen.append(noun)
        return chosen

    def _side(self, pool: str) -> list[str]:
        def outside(word: str) -> bool:
            return is_held_out(word) and word not in ALWAYS_TRAINED

        return [word for word in dict.fromkeys(_POOLS[pool]) if outside(word) == self.held_out]

    def _syllables(self) -> str:
        count = self.rng.randint(1, 3)
        onsets, vowels = _POOLS["onsets"], _POOLS["vowels"]
        return "".join(
            self.rng.choice(onsets) + self.rng.choice(vowels) + self.rng.choice(_CODAS) for _ in range(count)
        )

    def _pieces(self) -> str:
        """Two or three pieces of real words: so that each token of the vocabulary is copied now and then."""
        pieces = []
        for _ in range(self.rng.randint(2, 3)):
            word = self.rng.choice(_REAL)
            start = self.rng.randrange(max(1, len(word) - 2))
            pieces.append(word[start : start + self.rng.randint(2, 5)])
        return "".join(pieces).lower()

    def _random_letters(self) -> str:
        return "".join(self.rng.choices(_LETTERS, k=self.rng.randint(3, 8)))

    def _recase(self, word: str) -> str:
        draw = self.rng.random()
        if draw < 0.1:
            return word.upper()
        if draw < 0.3:
            return word.capitalize()
        if draw < 0.33:
            return "".join(self.rng.choice((letter.upper(), letter)) for letter in word)
        return word
