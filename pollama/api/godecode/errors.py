"""What can be wrong with a JSON text, in Go's words."""

from __future__ import annotations

from pollama.errors import BadRequestError


class DecodeError(BadRequestError):
    """The text is not JSON, or a custom decoder refused a value."""


class EmptyBodyError(DecodeError):
    """There is no value at all."""

    def __init__(self) -> None:
        super().__init__("EOF")


class TypeMismatchError(DecodeError):
    """A JSON value of the wrong kind: ``found`` where ``go_type`` belongs, at field ``path`` of ``struct``."""

    def __init__(self, found: str, go_type: str, struct: str = "", path: tuple[str, ...] = ()) -> None:
        place = f"Go struct field {struct}.{'.'.join(path)}" if struct or path else "Go value"
        super().__init__(f"json: cannot unmarshal {found} into {place} of type {go_type}")
        self.found = found
        self.go_type = go_type
        self.path = path
