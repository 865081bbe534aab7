"""``config``: settings shown, and changed in the file or, where that needs no restart, in a running server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from pollama.cli import flags
from pollama.cli.client import Client
from pollama.cli.command import Arity, command, stdout
from pollama.cli.errors import CliError, ConnectionRefusedByServerError
from pollama.cli.table import table
from pollama.config import BY_KEY, Config, default_file
from pollama.config.declare import Setting
from pollama.config.devices import LIVE
from pollama.config.file import changed_text, parse_value, read_settings, value_of, write
from pollama.config.view import nested, shown
from pollama.types.json import Json

_ACTIONS: Final = {"show": 1, "get": 2, "set": 3}
"""What can be done, with the number of arguments."""
_HINT: Final = "use `config show`, `config get KEY` or `config set KEY VALUE` (null for the default)"


@command("config show|get KEY|set KEY VALUE", Arity(1, 3))
@flags.text("--config", help="Use this YAML file (default ~/.pollama/config.yaml)")
def config(arguments: tuple[str, ...], config: str) -> None:
    """Show settings or change one. Raises CliError and ConfigError, which name the setting."""
    action, *rest = arguments
    if _ACTIONS.get(action) != len(arguments):
        raise CliError(f"unknown use of config: {_HINT}")
    file = Path(config) if config else None
    if action == "set":
        _set(_setting(rest[0]), parse_value(rest[1]), file)
    elif action == "get":
        _get(_setting(rest[0]), file)
    else:
        _show(file)


def _setting(key: str) -> Setting:
    if key not in BY_KEY:
        raise CliError(f"unknown setting {key!r}; `config show` lists all")
    return BY_KEY[key]


def _show(file: Path | None) -> None:
    rows = [
        (item.setting.key, _text(item.value), item.source, _note(item.setting))
        for item in shown(Config.load(file=file))
    ]
    stdout(table(("KEY", "VALUE", "SOURCE", "NOTE"), rows).rstrip("\n"))


def _note(setting: Setting) -> str:
    return f"no effect yet: {setting.no_effect}" if setting.no_effect else ""


def _get(setting: Setting, file: Path | None) -> None:
    stdout(next(_text(item.value) for item in shown(Config.load(file=file)) if item.setting is setting))


def _text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _set(setting: Setting, value: object, file: Path | None) -> None:
    if value is not None:
        value_of(setting, value)
    settings = Config.load(file=file if file and file.exists() else None)
    path = file or default_file(settings.home)
    if file is None and setting.key in LIVE and _told_server(settings, setting.key, value):
        stdout(f"{setting.key} is changed in the running server and kept in its file")
        return
    if path.exists():
        read_settings(path, BY_KEY)
    write(path, changed_text(path, {setting.key: value}))
    stdout(f"{setting.key} is changed in {path}; it counts from the next start of the server")


def _told_server(settings: Config, key: str, value: object) -> bool:
    """Change a setting in the server that runs, if one does. Raises CliError where it refuses."""
    client = Client(settings)
    try:
        client.heartbeat()
    except ConnectionRefusedByServerError:
        return False
    client.put("/api/multigpu/config", nested({key: value}))
    return True
