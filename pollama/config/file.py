"""The YAML file of settings: read into values, and changed in place with its comments kept."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pollama.config.declare import Setting
from pollama.errors import ConfigError


def read_settings(path: Path, known: Mapping[str, Setting]) -> dict[str, Any]:
    """Return the values in ``path`` by field name; ``known`` are the settings by key. Raises ConfigError."""
    values = {}
    for key, value in flatten(_read(path, YAML(typ="safe", pure=True)), known):
        setting = known.get(key)
        if setting is None:
            raise ConfigError(f"{path}: unknown setting {key!r}")
        values[setting.name] = value_of(setting, value, f"{path}: ")
    return values


def value_of(setting: Setting, value: object, place: str = "") -> Any:
    """Return the setting's value for a YAML value. Raises ConfigError, which begins with ``place``."""
    try:
        return setting.kind.from_yaml(value)
    except ConfigError as error:
        raise ConfigError(f"{place}{setting.key}{error}") from None
    except (ValueError, TypeError):
        raise ConfigError(f"{place}{setting.key} must be of type {setting.kind.label}, not {value!r}") from None


def flatten(
    mapping: Mapping[Any, object], known: Mapping[str, Setting], prefix: str = ""
) -> Iterator[tuple[str, object]]:
    """Yield dotted keys with their values; a known key ends the descent, so that it may hold a mapping."""
    for name, value in mapping.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and value and key not in known:
            yield from flatten(value, known, f"{key}.")
        else:
            yield key, value


def parse_value(text: str) -> object:
    """Return what YAML reads in a text: a number, a list, text ... Raises ConfigError."""
    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise ConfigError(f"{text!r} is not YAML: {error}") from error


def changed_text(path: Path, changes: Mapping[str, object]) -> str:
    """Return the text of ``path`` with other values for some dotted keys; None takes a key out. Raises ConfigError."""
    yaml = YAML()
    content = _read(path, yaml) if path.exists() else yaml.map()
    for key, value in changes.items():
        _put(content, key.split("."), value)
    text = io.StringIO()
    yaml.dump(content, text)
    return text.getvalue() if content else ""


def write(path: Path, text: str) -> None:
    """Replace ``path`` so that a reader sees the old text or the new one. Raises ConfigError.

    A link stays one, to the new text; who may read the file stays as it is.
    """
    scratch = None
    try:
        path = path.resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        number, scratch = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, scratch)
        Path(scratch).replace(path)
    except OSError as error:
        if scratch is not None:
            Path(scratch).unlink(missing_ok=True)
        raise ConfigError(f"{path}: {error.strerror or error}") from error


def _read(path: Path, yaml: YAML) -> Any:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise ConfigError(f"{path}: {error}") from error
    if content is None:
        return YAML().map()
    if not isinstance(content, Mapping):
        raise ConfigError(f"{path}: must be a mapping of settings")
    return content


def _put(content: Any, path: list[str], value: object) -> None:
    """Set or, with None, take out the value at ``path``; mappings come and go with what is in them."""
    first, *rest = path
    if not rest:
        if value is None:
            content.pop(first, None)
        else:
            content[first] = value
        return
    if not isinstance(content.get(first), dict):
        if value is None:
            return
        content[first] = {}
    _put(content[first], rest, value)
    if not content[first]:
        del content[first]
