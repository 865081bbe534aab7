"""``docs/configuration.md``, made from the declarations."""

from __future__ import annotations

from typing import Final

from pollama.config import SETTINGS
from pollama.config.declare import Setting


def documentation() -> str:
    """Return ``docs/configuration.md``."""
    return _HEAD + "\n".join(map(_row, SETTINGS)) + "\n"


def _row(setting: Setting) -> str:
    variables = " ".join(f"`{name}`" for name in setting.variables)
    meaning = f"{setting.help} (no effect yet: {setting.no_effect})" if setting.no_effect else setting.help
    return f"| {variables} | `{setting.key}` | {setting.kind.label} | {setting.default_text} | {meaning} |"


_HEAD: Final = """\
# Configuration

<!-- Made by `python -m pollama.config`; change the declarations in `pollama/config/` instead. -->

A setting comes from the command line, else from its environment variable, else from the YAML file
`~/.pollama/config.yaml` (or the one that `--config` names), else it has its default.

* Environment: spaces and quotes around a value are dropped, and an empty value counts as unset. For a boolean
  `0`, `f` and `false` mean no, any other text means yes. A value that does not parse is warned about and ignored.
* YAML: keys with a dot are nested (`a.b` is `b` under `a`). An unknown key and a value of another type are errors.
* Durations are written as `300ms`, `1h30m` or whole seconds; a negative one means without end.
* Where several variables are named, the first one that is set counts.
* `OLLAMA_CLOUD_BASE_URL`, `OLLAMA_DEBUG_LOG_REQUESTS`, `OLLAMA_MAX_TRANSFER_STREAMS` and `OLLAMA_REMOTES` are
  accepted and change nothing: this version speaks to no cloud and transfers no safetensors.
* `LLAMA_ARG_FIT` and `LLAMA_ARG_FIT_TARGET` are accepted and change nothing: pollama plans memory before it loads.
  Variables that name devices act in the runner processes, which inherit the whole environment.

| Environment | YAML key | Type | Default | Meaning |
| --- | --- | --- | --- | --- |
"""
