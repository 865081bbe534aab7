"""What is compared: models, numbers of clients and kinds of load."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from benchmarks.serve.workload import Scenario, counting_texts, random_texts
from tools.random_model import PRESETS, write_random_model

CONTEXT: Final = 1024
"""Tokens of one slot."""
CLIENTS: Final = (1, 4, 16, 64)
DEMO: Final = Path(__file__).parents[2] / "pollama" / "demo" / "demo.gguf"
_SHORT: Final = Scenario(name="short")
_SIXTEEN: Final = (
    replace(_SHORT, name="sampled", sampled=True),
    replace(_SHORT, name="shared prefix", shared_words=128),
    replace(_SHORT, name="long prompts", prompt_words=(256,), answer_tokens=16),
    replace(_SHORT, name="mixed lengths", prompt_words=(8, 64, 8, 256), answer_tokens=32),
    replace(_SHORT, name="JSON schema", schema=True),
    replace(_SHORT, name="JSON schema, sampled", schema=True, sampled=True),
)
_OPEN: Final = replace(_SHORT, name="open loop", prompt_words=(8, 64, 8, 256), answer_tokens=32)


@dataclass(frozen=True, slots=True)
class Subject:
    """A model under test: where its file is made, and what it is asked."""

    name: str
    texts: Callable[[Scenario, int], Iterator[str]]

    def file(self, folder: Path) -> Path:
        """Return the model's file, written into ``folder`` first where it is missing."""
        if self.name == "demo":
            return DEMO
        path = folder / f"{self.name}.gguf"
        if not path.exists():
            unfinished = path.with_suffix(".part")
            write_random_model(unfinished, PRESETS[self.name])
            unfinished.replace(path)
        return path


SUBJECTS: Final = {
    "demo": Subject("demo", counting_texts),
    "60m": Subject("60m", random_texts),
    "250m": Subject("250m", random_texts),
}
_WITH_ALL: Final = "60m"
"""The model that goes through every kind of load; the others through the short prompts."""


def scenarios(subject: str, clients: int, rate: float) -> Sequence[Scenario]:
    """Return the loads for a model and a number of clients; ``rate`` is that of the open loop, per second."""
    answer_tokens = 32 if subject == "250m" else 64
    found = [replace(_SHORT, clients=clients, answer_tokens=answer_tokens)]
    if subject == _WITH_ALL and clients == 1:
        found += [replace(one, clients=1) for one in _SIXTEEN if one.name in ("sampled", "long prompts")]
    if subject == _WITH_ALL and clients == 16:
        found += [replace(one, clients=16) for one in _SIXTEEN]
        found += [replace(_OPEN, clients=16, rate=rate)]
    return found
