"""Where decoding is, and what every Go type can be asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from pollama.api.godecode.errors import DecodeError, TypeMismatchError
from pollama.types.json import Json


@dataclass(slots=True)
class Place:
    """Where decoding is: the Go struct and the field names that lead here, and the first error so far."""

    struct: str = ""
    path: tuple[str, ...] = ()
    error: DecodeError | None = None

    def note(self, error: DecodeError) -> None:
        """Keep an error if it is the first."""
        if self.error is None:
            self.error = error

    def mismatch(self, value: Json, go_type: str) -> None:
        """Note that ``value`` is not of ``go_type``."""
        self.note(TypeMismatchError(json_kind(value), go_type, self.struct, self.path))

    def unsuitable(self, literal: str, go_type: str) -> None:
        """Note a number that ``go_type`` cannot hold."""
        self.note(TypeMismatchError(f"number {literal}", go_type, self.struct, self.path))

    def located(self, error: DecodeError) -> DecodeError:
        """Return a custom decoder's error as seen from here."""
        if isinstance(error, TypeMismatchError) and (self.struct or self.path):
            return TypeMismatchError(error.found, error.go_type, self.struct, self.path + error.path)
        return error


class Kind(Protocol):
    """One Go type."""

    @property
    def go_type(self) -> str:
        """The type as Go's errors name it."""
        ...

    def zero(self) -> Any:
        """Return what an absent element stands for."""
        ...

    def decode(self, value: Json, at: Place) -> Any:
        """Return the value of a JSON value that is not null. Mismatches are noted in ``at``.

        Raises DecodeError where a custom decoder refuses the value.
        """
        ...


def json_kind(value: Json) -> str:
    """Return Go's word for the JSON type of a value."""
    for types, word in ((str, "string"), (bool, "bool"), ((int, float), "number"), (list, "array"), (dict, "object")):
        if isinstance(value, types):
            return word
    return "null"
