"""The settings of pollama: each one declared once, read once, from environment and file.

Precedence: command line (``overrides``) over environment over YAML file over default. This is the only package that
reads ``os.environ``. ``python -m pollama.config`` prints ``docs/configuration.md``.

In the environment a value is trimmed of spaces, then of quotes; empty means unset; what does not parse is warned about
and ignored, as in Ollama.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal

from pollama.config.declare import declared
from pollama.config.devices import DeviceSettings
from pollama.config.ollama import OllamaSettings
from pollama.errors import ConfigError

log = logging.getLogger(__name__)

_LOCAL_HOSTS: Final = ("localhost", "127.0.0.1", "0.0.0.0")
_APP_ORIGINS: Final = ("app://*", "file://*", "tauri://*", "vscode-webview://*", "vscode-file://*")

Source = Literal["default", "file", "environment", "command line"]


@dataclass(frozen=True, kw_only=True)
class Config(DeviceSettings, OllamaSettings):
    """Every setting, resolved. Durations are seconds (FOREVER = no end), sizes bytes unless stated."""

    home: Path = field(default_factory=lambda: Path("~").expanduser())
    """The user's home directory; ``~/.ollama`` in it holds keys, history and ``server.json``."""
    cloud_disabled_by_file: bool = False
    """Whether ``~/.ollama/server.json`` turns the cloud off."""
    file: Path | None = field(default=None, compare=False)
    """The YAML file that was read."""
    sources: Mapping[str, Source] = field(default_factory=dict, repr=False, compare=False)
    """Where the value of a field comes from; those with their default are left out."""
    environ: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    """The environment that child processes inherit."""

    def __post_init__(self) -> None:
        if self.models == Path():
            object.__setattr__(self, "models", self.home / ".ollama" / "models")

    @classmethod
    def load(
        cls,
        environ: Mapping[str, str] = os.environ,
        file: Path | None = None,
        overrides: Mapping[str, object] | None = None,
    ) -> Config:
        """Read all settings; ``overrides`` are field values that beat everything else.

        ``file`` is a YAML file that must exist; without it ``~/.pollama/config.yaml`` is read where there is one.
        Raises ConfigError, which names the file and the key.
        """
        home = Path(environ.get("HOME") or Path("~").expanduser())
        path = file or default_file(home)
        in_file = _in_file(path) if file is not None or path.is_file() else None
        layers: tuple[tuple[Source, Mapping[str, Any]], ...] = (
            ("file", in_file or {}),
            ("environment", _environment_values(environ)),
            ("command line", overrides or {}),
        )
        return cls(
            **{name: value for _, values in layers for name, value in values.items()},
            sources={name: source for source, values in layers for name in values},
            home=home,
            environ=dict(environ),
            file=None if in_file is None else path,
            cloud_disabled_by_file=_cloud_disabled(home / ".ollama" / "server.json"),
        )

    @property
    def allowed_origins(self) -> tuple[str, ...]:
        """All origins that browsers may call from: the configured ones, then local servers and desktop apps."""
        return (*self.origins, *_local_origins(), *_APP_ORIGINS)

    @property
    def cloud_disabled(self) -> bool:
        """Whether cloud features are off."""
        return self.no_cloud or self.cloud_disabled_by_file

    @property
    def cloud_disabled_source(self) -> Literal["none", "env", "config", "both"]:
        """Say what turned the cloud off."""
        if self.no_cloud and self.cloud_disabled_by_file:
            return "both"
        return "env" if self.no_cloud else "config" if self.cloud_disabled_by_file else "none"


def _local_origins() -> Iterator[str]:
    for host in _LOCAL_HOSTS:
        yield from (f"http://{host}", f"https://{host}", f"http://{host}:*", f"https://{host}:*")


SETTINGS: Final = tuple(
    declared(item) for part in (OllamaSettings, DeviceSettings) for item in fields(part) if "kind" in item.metadata
)
"""All settings in their order of declaration."""

BY_KEY: Final = {setting.key: setting for setting in SETTINGS}
"""All settings by their place in YAML."""


def default_file(home: Path) -> Path:
    """Return the YAML file that is read when none is named."""
    return home / ".pollama" / "config.yaml"


def clean(value: str) -> str:
    """Return an environment value without surrounding spaces and, inside them, quotes."""
    return value.strip().strip("\"'")


def _in_file(path: Path) -> dict[str, Any]:
    from pollama.config.file import read_settings  # noqa: PLC0415  (a YAML parser is slow to import, few have a file)

    return read_settings(path, BY_KEY)


def _environment_values(environ: Mapping[str, str]) -> dict[str, Any]:
    values = {}
    for setting in SETTINGS:
        variable = next((name for name in setting.variables if clean(environ.get(name, ""))), None)
        if variable is None:
            continue
        try:
            values[setting.name] = setting.kind.parse(clean(environ[variable]))
        except ConfigError as error:
            raise ConfigError(f"{variable}{error}") from None
        except ValueError:
            log.warning(
                "invalid environment variable, using default: %s=%r default=%s",
                variable,
                environ[variable],
                setting.default_text,
            )
    return values


def _cloud_disabled(path: Path) -> bool:
    """Read ``server.json``; a file that is missing or damaged says nothing."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("disable_ollama_cloud") is True
