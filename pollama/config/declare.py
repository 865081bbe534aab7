"""How a setting is declared: once, as a field of a settings class, with all that is told about it."""

from __future__ import annotations

from dataclasses import Field, dataclass, field
from typing import Any

from pollama.config.kinds import Kind
from pollama.types.address import ServerAddress


@dataclass(frozen=True, slots=True)
class Setting:
    """How one field of Config is set. The first of ``variables`` that is not empty counts; ``key`` is its YAML path.

    ``no_effect`` says why a value changes nothing ("" = it has an effect).
    """

    name: str
    variables: tuple[str, ...]
    key: str
    kind: Kind
    default: Any
    help: str
    shown_default: str
    no_effect: str

    @property
    def default_text(self) -> str:
        """The default as the documentation shows it."""
        return self.shown_default or text_of(self.default)


def text_of(value: object) -> str:
    """Return a value as a user would write it."""
    if isinstance(value, ServerAddress):
        return value.netloc
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def setting(
    default: Any,
    variables: str,
    kind: Kind,
    help_text: str,
    *,
    key: str = "",
    shown_default: str = "",
    no_effect: str = "",
) -> Any:
    """Declare a field of Config; ``variables`` are names separated by spaces, ``key`` defaults to the field's name."""
    metadata = {
        "default": default,
        "variables": tuple(variables.split()),
        "kind": kind,
        "help": help_text,
        "key": key,
        "shown_default": shown_default,
        "no_effect": no_effect,
    }
    return field(default_factory=lambda: default, metadata=metadata)


def declared(declaration: Field[Any]) -> Setting:
    """Return the setting behind a field that ``setting`` made."""
    metadata = dict(declaration.metadata)
    metadata["key"] = metadata["key"] or declaration.name
    return Setting(name=declaration.name, **metadata)
