"""The settings of pollama: each one declared once, read once, from environment and file.

Precedence: command line (``overrides``) over environment over YAML file over default. This is the only module that
reads ``os.environ``. ``python -m pollama.config`` prints ``docs/configuration.md``.

The environment follows Ollama's rules: a value is trimmed of spaces, then of quotes; empty means unset; what does
not parse is warned about and ignored. A YAML file is held to its types, because there is no older file to be kind to.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal

import yaml

from pollama.errors import ConfigError
from pollama.types.address import ServerAddress
from pollama.types.cores import CpuPartition, parse_partitions
from pollama.types.human import parse_duration
from pollama.types.multigpu import LoadBalancing, Strategy, parse_load_balancing, parse_strategy
from pollama.types.requests import FOREVER

log = logging.getLogger(__name__)

_TRUE: Final = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE: Final = frozenset(("0", "f", "F", "FALSE", "false", "False"))
_MAX_UINT: Final = 2**64 - 1
_LOCAL_HOSTS: Final = ("localhost", "127.0.0.1", "0.0.0.0")
_APP_ORIGINS: Final = ("app://*", "file://*", "tauri://*", "vscode-webview://*", "vscode-file://*")


def parse_bool(text: str) -> bool:
    """Return False for the spellings of false that Go knows, True for every other text ("off" included)."""
    return text not in _FALSE


def parse_uint(text: str) -> int:
    """Return an unsigned 64-bit decimal integer. Raises ValueError for signs, separators and other bases."""
    if not re.fullmatch("[0-9]+", text) or int(text) > _MAX_UINT:
        raise ValueError("not an unsigned integer")
    return int(text)


def parse_seconds(text: str) -> float:
    """Return seconds of a Go duration or of whole seconds. Raises ValueError."""
    return float(text) if re.fullmatch(r"[+-]?[0-9]+", text) else parse_duration(text) / 1e9


def keep_alive_seconds(seconds: float) -> float:
    """Return ``seconds``, or FOREVER when they are negative or more nanoseconds than 64 bits hold."""
    return FOREVER if seconds < 0 or seconds * 1e9 >= 2**63 else float(seconds)


def load_timeout_seconds(seconds: float) -> float:
    """Return ``seconds`` as ``keep_alive_seconds``; zero means FOREVER too."""
    return keep_alive_seconds(seconds) or FOREVER


def parse_debug(text: str) -> int:
    """Return a log level on Ollama's scale: 0 info, -4 debug, -8 trace. Anything that is no level is info."""
    if text in _TRUE or text in _FALSE:
        return -4 if text in _TRUE else 0
    return -4 * int(text) if re.fullmatch(r"[+-]?[0-9]{1,18}", text) else 0


def _parse_list(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of setting. ``parse`` reads text, ``native`` are the YAML types that ``convert`` takes as they are.

    Either may raise ConfigError with what follows the name of the setting: ``[1].cores: ...``.
    """

    label: str
    parse: Callable[[str], Any]
    native: tuple[type, ...] = (str,)
    convert: Callable[[Any], Any] = lambda value: value

    def from_yaml(self, value: object) -> Any:
        """Return the setting's value for a YAML value. Raises ValueError or TypeError for another type."""
        if isinstance(value, bool) and bool not in self.native:
            raise TypeError("a boolean")
        if isinstance(value, str) and str in self.native:
            return self.parse(value)
        if not isinstance(value, self.native):
            raise TypeError(type(value).__name__)
        return self.convert(value)


def _unsigned(value: int) -> int:
    return parse_uint(str(value))


def _strings(value: list[object]) -> tuple[str, ...]:
    if not all(isinstance(item, str) for item in value):
        raise TypeError("a list with something that is not text")
    return tuple(str(item) for item in value)


BOOL: Final = Kind("boolean", parse_bool, (bool,))
UINT: Final = Kind("unsigned integer", parse_uint, (int,), _unsigned)
TEXT: Final = Kind("text", str)
PATH: Final = Kind("path", Path)
TEXTS: Final = Kind("comma separated list", _parse_list, (str, list), _strings)
ADDRESS: Final = Kind("address", ServerAddress.parse)
PARTITIONS: Final = Kind("list of core sets", str, (list,), parse_partitions)
STRATEGY: Final = Kind("strategy (auto or data)", parse_strategy)
BALANCING: Final = Kind("load balancing (round_robin, least_loaded or performance_aware)", parse_load_balancing)
LOG_LEVEL: Final = Kind("level", parse_debug, (str, bool, int), lambda value: parse_debug(str(value)))
KEEP_ALIVE: Final = Kind(
    "duration", lambda text: keep_alive_seconds(parse_seconds(text)), (str, int, float), keep_alive_seconds
)
TIMEOUT: Final = Kind(
    "duration", lambda text: load_timeout_seconds(parse_seconds(text)), (str, int, float), load_timeout_seconds
)


@dataclass(frozen=True, slots=True)
class Setting:
    """How one field of Config is set. The first of ``variables`` that is not empty counts; ``key`` is its YAML path."""

    name: str
    variables: tuple[str, ...]
    key: str
    kind: Kind
    default: Any
    help: str
    shown_default: str


def _setting(
    default: Any, variables: str, kind: Kind, help_text: str, *, key: str = "", shown_default: str = ""
) -> Any:
    """Declare a field of Config; ``variables`` are names separated by spaces, ``key`` defaults to the field's name."""
    metadata = {"variables": tuple(variables.split()), "kind": kind, "help": help_text, "key": key}
    return field(default=default, metadata=metadata | {"shown_default": shown_default})


@dataclass(frozen=True, kw_only=True)
class Config:
    """Every setting, resolved. Durations are seconds (FOREVER = no end), sizes bytes unless stated."""

    host: ServerAddress = _setting(  # noqa: RUF009  (returns a dataclasses.field)
        ServerAddress(), "OLLAMA_HOST", ADDRESS, "IP Address for the ollama server (default 127.0.0.1:11434)"
    )
    models: Path = _setting(  # noqa: RUF009
        Path(), "OLLAMA_MODELS", PATH, "The path to the models directory", shown_default="~/.ollama/models"
    )
    keep_alive: float = _setting(
        300.0,
        "OLLAMA_KEEP_ALIVE",
        KEEP_ALIVE,
        'The duration that models stay loaded in memory (default "5m")',
        shown_default="5m",
    )
    load_timeout: float = _setting(
        300.0,
        "OLLAMA_LOAD_TIMEOUT",
        TIMEOUT,
        'How long to allow model loads to stall before giving up (default "5m")',
        shown_default="5m",
    )
    context_length: int = _setting(
        0,
        "OLLAMA_CONTEXT_LENGTH",
        UINT,
        "Context length to use unless otherwise specified (default: 4k/32k/256k based on VRAM)",
        shown_default="by VRAM",
    )
    num_parallel: int | None = _setting(
        None, "OLLAMA_NUM_PARALLEL", UINT, "Maximum number of parallel requests", shown_default="automatic"
    )
    max_loaded_models: int = _setting(
        0, "OLLAMA_MAX_LOADED_MODELS", UINT, "Maximum number of loaded models per GPU", shown_default="automatic"
    )
    max_queue: int = _setting(512, "OLLAMA_MAX_QUEUE", UINT, "Maximum number of queued requests")
    max_transfer_streams: int = _setting(
        4,
        "OLLAMA_MAX_TRANSFER_STREAMS",
        UINT,
        "Maximum parallel transfer streams for safetensors model pulls/pushes (default 4)",
    )
    origins: tuple[str, ...] = _setting((), "OLLAMA_ORIGINS", TEXTS, "A comma separated list of allowed origins")
    remotes: tuple[str, ...] = _setting(
        ("ollama.com",), "OLLAMA_REMOTES", TEXTS, 'Allowed hosts for remote models (default "ollama.com")'
    )
    no_cloud: bool = _setting(
        False, "OLLAMA_NO_CLOUD", BOOL, "Disable Ollama cloud features (remote inference and web search)"
    )
    cloud_base_url: str = _setting(
        "", "OLLAMA_CLOUD_BASE_URL", TEXT, "Address of the cloud service, for development; loopback only"
    )
    auth: bool = _setting(False, "OLLAMA_AUTH", BOOL, "Sign every request of the CLI to its server")
    no_prune: bool = _setting(False, "OLLAMA_NOPRUNE", BOOL, "Do not prune model blobs on startup")
    no_history: bool = _setting(False, "OLLAMA_NOHISTORY", BOOL, "Do not preserve readline history")
    editor: str = _setting(
        "vi", "OLLAMA_EDITOR VISUAL EDITOR", TEXT, "Path to editor for interactive prompt editing (Ctrl+G)"
    )
    log_level: int = _setting(
        0,
        "OLLAMA_DEBUG",
        LOG_LEVEL,
        "Show additional debug information (e.g. OLLAMA_DEBUG=1)",
        key="debug",
        shown_default="info",
    )
    debug_log_requests: bool = _setting(
        False,
        "OLLAMA_DEBUG_LOG_REQUESTS",
        BOOL,
        "Log inference request bodies and replay curl commands to a temp directory",
    )
    go_template: bool | None = _setting(
        None,
        "OLLAMA_GO_TEMPLATE",
        BOOL,
        "Enable Modelfile TEMPLATE based rendering when available",
        shown_default="the richer template",
    )
    flash_attention: bool | None = _setting(
        None, "OLLAMA_FLASH_ATTENTION", BOOL, "Enabled flash attention", shown_default="by device"
    )
    kv_cache_type: str = _setting(
        "", "OLLAMA_KV_CACHE_TYPE", TEXT, "Quantization type for the K/V cache (default: f16)", shown_default="f16"
    )
    gpu_overhead: int = _setting(0, "OLLAMA_GPU_OVERHEAD", UINT, "Reserve a portion of VRAM per GPU (bytes)")
    sched_spread: bool = _setting(False, "OLLAMA_SCHED_SPREAD", BOOL, "Always schedule model across all GPUs")
    igpu_enable: bool | None = _setting(
        None, "OLLAMA_IGPU_ENABLE", BOOL, "Enable integrated GPUs", shown_default="by kind"
    )
    vulkan: bool | None = _setting(None, "OLLAMA_VULKAN", BOOL, "Enable Vulkan support", shown_default="true")
    llm_library: str = _setting("", "OLLAMA_LLM_LIBRARY", TEXT, "Set LLM library to bypass autodetection")
    threads: int = _setting(
        0,
        "LLAMA_ARG_THREADS",
        UINT,
        "Threads of a runner whose model and request do not state num_thread",
        shown_default="one per core",
    )
    multi_gpu: bool = _setting(
        False, "OLLAMA_MULTI_GPU", BOOL, "Run replicas of a model on several devices", key="multi_gpu.enabled"
    )
    gpu_strategy: Strategy = _setting(  # noqa: RUF009
        "auto",
        "OLLAMA_GPU_STRATEGY",
        STRATEGY,
        "auto: another replica when requests wait; data: as soon as all replicas are in use",
        key="multi_gpu.strategy",
    )
    replicas: int = _setting(
        0,
        "",
        UINT,
        "Replicas that a model may have",
        key="multi_gpu.data_parallel.replicas",
        shown_default="one per device",
    )
    load_balancing: LoadBalancing = _setting(  # noqa: RUF009
        "least_loaded",
        "",
        BALANCING,
        "How requests are spread over the replicas of a model: round_robin, least_loaded, performance_aware",
        key="multi_gpu.data_parallel.load_balancing",
    )
    cpu_partitions: tuple[CpuPartition, ...] = _setting(
        (),
        "",
        PARTITIONS,
        'Sets of cores that are devices of their own: `[{cores: "0-3", memory: "16GiB"}, {cores: "4-7"}]`',
        key="devices.cpu",
        shown_default="one device with all cores",
    )
    fit: str = _setting(
        "", "LLAMA_ARG_FIT", TEXT, 'Enable llama.cpp automatic fit of unset memory options (default "on")'
    )
    fit_target: str = _setting(
        "", "LLAMA_ARG_FIT_TARGET", TEXT, "Target free VRAM margin per device for llama.cpp fit (MiB)"
    )
    cuda_visible_devices: str = _setting("", "CUDA_VISIBLE_DEVICES", TEXT, "NVIDIA devices that may be used")
    hip_visible_devices: str = _setting("", "HIP_VISIBLE_DEVICES", TEXT, "AMD devices that may be used, by index")
    rocr_visible_devices: str = _setting(
        "", "ROCR_VISIBLE_DEVICES", TEXT, "AMD devices that may be used, by UUID or index"
    )
    vulkan_visible_devices: str = _setting(
        "", "GGML_VK_VISIBLE_DEVICES", TEXT, "Vulkan devices that may be used, by index"
    )
    gpu_device_ordinal: str = _setting("", "GPU_DEVICE_ORDINAL", TEXT, "AMD devices that may be used, by index")
    hsa_override: str = _setting("", "HSA_OVERRIDE_GFX_VERSION", TEXT, "Override the gfx version of AMD GPUs")
    http_proxy: str = _setting("", "HTTP_PROXY http_proxy", TEXT, "Proxy for http addresses")
    https_proxy: str = _setting("", "HTTPS_PROXY https_proxy", TEXT, "Proxy for https addresses")
    no_proxy: str = _setting("", "NO_PROXY no_proxy", TEXT, "Addresses that are reached without a proxy")

    home: Path = field(default_factory=lambda: Path("~").expanduser())
    """The user's home directory; ``~/.ollama`` in it holds keys, history and ``server.json``."""
    cloud_disabled_by_file: bool = False
    """Whether ``~/.ollama/server.json`` turns the cloud off."""
    file: Path | None = field(default=None, compare=False)
    """The YAML file that was read."""
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

        ``file`` is a YAML file that must exist; without it ``~/.ollama/pollama.yaml`` is read where there is one.
        Raises ConfigError, which names the file and the key.
        """
        home = Path(environ.get("HOME") or Path("~").expanduser())
        values: dict[str, Any] = {"home": home, "environ": dict(environ)}
        values["cloud_disabled_by_file"] = _cloud_disabled(home / ".ollama" / "server.json")
        default_file = home / ".ollama" / "pollama.yaml"
        if file is not None or default_file.is_file():
            values["file"] = file or default_file
            values |= _file_values(values["file"])
        return cls(**{**values, **_environment_values(environ), **(overrides or {})})

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


def _declared(declaration: Field[Any]) -> Setting:
    metadata = dict(declaration.metadata)
    metadata["key"] = metadata["key"] or declaration.name
    return Setting(name=declaration.name, default=declaration.default, **metadata)


SETTINGS: Final = tuple(_declared(item) for item in fields(Config) if "kind" in item.metadata)
"""All settings in their order of declaration."""


def clean(value: str) -> str:
    """Return an environment value without surrounding spaces and, inside them, quotes."""
    return value.strip().strip("\"'")


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
                _default_text(setting),
            )
    return values


def _cloud_disabled(path: Path) -> bool:
    """Read ``server.json``; a file that is missing or damaged says nothing."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("disable_ollama_cloud") is True


def _file_values(path: Path) -> dict[str, Any]:
    by_key = {setting.key: setting for setting in SETTINGS}
    values = {}
    for key, value in _flatten(_read_yaml(path), by_key):
        setting = by_key.get(key)
        if setting is None:
            raise ConfigError(f"{path}: unknown setting {key!r}")
        try:
            values[setting.name] = setting.kind.from_yaml(value)
        except ConfigError as error:
            raise ConfigError(f"{path}: {key}{error}") from None
        except (ValueError, TypeError):
            raise ConfigError(f"{path}: {key} must be of type {setting.kind.label}, not {value!r}") from None
    return values


def _read_yaml(path: Path) -> dict[str, object]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: must be a mapping of settings")
    return content


def _flatten(
    mapping: Mapping[Any, object], known: Mapping[str, Setting], prefix: str = ""
) -> Iterator[tuple[str, object]]:
    """Yield dotted keys with their values; a known key ends the descent, so that it may hold a mapping."""
    for name, value in mapping.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and value and key not in known:
            yield from _flatten(value, known, f"{key}.")
        else:
            yield key, value


def _default_text(setting: Setting) -> str:
    if setting.shown_default:
        return setting.shown_default
    if isinstance(setting.default, ServerAddress):
        return setting.default.netloc
    if isinstance(setting.default, bool):
        return str(setting.default).lower()
    return ",".join(setting.default) if isinstance(setting.default, tuple) else str(setting.default)


def documentation() -> str:
    """Return ``docs/configuration.md``."""
    rows = [
        f"| {' '.join(f'`{name}`' for name in setting.variables)} | `{setting.key}` | {setting.kind.label} "
        f"| {_default_text(setting)} | {setting.help} |"
        for setting in SETTINGS
    ]
    return _DOCUMENTATION_HEAD + "\n".join(rows) + "\n"


_DOCUMENTATION_HEAD: Final = """\
# Configuration

<!-- Made by `python -m pollama.config`; change the declarations in `pollama/config.py` instead. -->

A setting comes from the command line, else from its environment variable, else from the YAML file
`~/.ollama/pollama.yaml`, else it has its default.

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


if __name__ == "__main__":
    sys.stdout.write(documentation())
