"""Fields of a dialect that pollama does not act on: they stand in the schemas so that none is overlooked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pollama.api.godecode.errors import DecodeError
from pollama.api.godecode.place import Kind, Place
from pollama.types.json import Json


@dataclass(frozen=True, slots=True)
class Ignored:
    """A field that changes nothing, as in Ollama; with a ``kind``, a value of another kind is a mismatch."""

    kind: Kind | None = None
    go_type: str = "interface {}"

    def zero(self) -> None:
        """Return null."""

    def decode(self, value: Json, at: Place) -> None:
        """Accept what ``kind`` accepts, and keep nothing of it."""
        if self.kind is not None:
            self.kind.decode(value, at)


@dataclass(frozen=True, slots=True)
class Refused:
    """A field that asks for what pollama does not have; ``harmless`` are the values that ask for nothing.

    A client that means the field would be misled by an answer that takes no notice of it. ``error`` is what it is told.
    """

    harmless: tuple[Json, ...] = ()
    error: type[DecodeError] = DecodeError
    go_type: str = "interface {}"

    def zero(self) -> None:
        """Return null."""

    def decode(self, value: Json, at: Place) -> Any:
        """Accept harmless values. Raises DecodeError that names the field for every other one."""
        if value not in self.harmless:
            raise self.error(f"{'.'.join(at.path)} is not supported")
