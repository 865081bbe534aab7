"""The settings of a running server: shown, and changed where that needs no restart."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path

from pollama.config import BY_KEY, Config, default_file
from pollama.config.devices import LIVE
from pollama.config.file import changed_text, flatten, value_of, write
from pollama.config.view import nested, shown
from pollama.errors import ConfigError, StoreError
from pollama.types.json import Json

_SECTIONS = ("multi_gpu", "devices", "models")


class LiveConfig:
    """Holds the settings that are obeyed now; ``apply`` makes the server obey others.

    ``file`` is where changes are kept. The command line and the environment beat it, as at a start.
    """

    def __init__(self, config: Config, apply: Callable[[Config], Awaitable[None]]) -> None:
        self._config = config
        self._apply = apply
        self._changing = asyncio.Lock()
        self._under_way: set[asyncio.Task[None]] = set()

    @property
    def file(self) -> Path:
        """The YAML file that changes are written to."""
        return self._config.file or default_file(self._config.home)

    def describe(self) -> dict[str, Json]:
        """Return the settings for several devices, nested as in YAML.

        ``sources`` tells where those come from that do not have their default, ``no_effect`` which change nothing.
        """
        found = [item for item in shown(self._config) if item.setting.key.partition(".")[0] in _SECTIONS]
        return {
            "file": str(self.file),
            **nested({item.setting.key: item.value for item in found}),
            "sources": {item.setting.key: item.source for item in found if item.source != "default"},
            "no_effect": {item.setting.key: item.setting.no_effect for item in found if item.setting.no_effect},
        }

    async def update(self, changes: Mapping[str, object]) -> None:
        """Obey ``changes`` (nested as in YAML; null = the default) from now on, and keep them in the file.

        All of them or, with ConfigError, none; StoreError: the file is damaged or cannot be written.
        """
        keys = dict(flatten(changes, BY_KEY))
        values = {BY_KEY[key].name: self._checked(key, value) for key, value in keys.items() if key in LIVE}
        refused = [key for key in keys if key not in LIVE]
        if refused:
            raise ConfigError(_refusal(refused[0]))
        change = asyncio.create_task(self._change(keys, values))
        self._under_way.add(change)
        change.add_done_callback(self._under_way.discard)
        await asyncio.shield(change)

    async def _change(self, keys: Mapping[str, object], values: Mapping[str, object]) -> None:
        """Do all of it, even when nobody waits for the answer any more."""
        try:
            async with self._changing:
                await self._obey_and_keep(keys, values)
        except ConfigError as error:
            raise StoreError(str(error)) from error

    async def _obey_and_keep(self, keys: Mapping[str, object], values: Mapping[str, object]) -> None:
        before = self._config
        text = await asyncio.to_thread(changed_text, self.file, keys)
        kept = {name: source for name, source in before.sources.items() if name not in values}
        sources = kept | {BY_KEY[key].name: "file" for key, value in keys.items() if value is not None}
        changed = replace(before, **values, sources=sources, file=self.file)  # type: ignore[arg-type]
        await self._apply(changed)
        try:
            await asyncio.to_thread(write, self.file, text)
        except ConfigError:
            await self._apply(before)
            raise
        self._config = changed

    def _checked(self, key: str, value: object) -> object:
        setting = BY_KEY[key]
        source = self._config.sources.get(setting.name, "default")
        if source not in ("default", "file"):
            variables = " or ".join(setting.variables)
            where = "command line" if source == "command line" else f"environment ({variables})"
            raise ConfigError(f"{key} is set by the {where}, which beats the file")
        return setting.default if value is None else value_of(setting, value)


def _refusal(key: str) -> str:
    if key in BY_KEY:
        return f"{key} takes effect at a start only: change it with `pollama config set` and restart the server"
    return f"unknown setting {key!r}"
