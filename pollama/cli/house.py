"""Devices and models that exist on paper only: read from YAML (or JSON), for plans by arithmetic."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from pathlib import Path
from typing import Any, Final, TypeVar, cast, get_args

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pollama.errors import ConfigError
from pollama.types.cores import parse_cores, parse_size
from pollama.types.devices import Device, DeviceKind, Link, LinkKind
from pollama.types.model import Model, ModelConfig, ModelSpec, PromptTraits, StoredModel

Value = TypeVar("Value")

_RATE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([kKMGT]?)(i?)(?:B/s|op/s|FLOPS)?")
_SCALES: Final = {"": 0, "k": 1, "K": 1, "M": 2, "G": 3, "T": 4}
_COUNT: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([KMBT]?)")
_COUNTS: Final = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
_TIME: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(us|ms|s)")
_TIMES: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


@dataclass(frozen=True, slots=True)
class House:
    """Devices, and what joins some of them."""

    devices: tuple[Device, ...]
    links: tuple[Link, ...]


def read_house(path: Path) -> House:
    """Return what a file describes. Raises ConfigError, which names the file and the place in it."""
    fields = _Fields(_read(path), str(path))
    groups: dict[str, list[Device]] = {}
    for group in fields.items("devices"):
        devices = _devices(group)
        if devices[0].name in groups:
            raise ConfigError(f"{group.place}: there is a device {devices[0].name!r} already")
        groups[devices[0].name] = devices
    if not groups:
        raise ConfigError(f"{path}: devices must be a list of at least one device")
    links = [link for described in fields.items("links") for link in _links(described, groups)]
    fields.done()
    return House(tuple(device for group in groups.values() for device in group), tuple(links))


def read_shape(path: Path) -> Model:
    """Return a model as a file describes its shape. Raises ConfigError, which names the file and the place in it."""
    fields = _Fields(_read(path), str(path))
    name = str(fields.get("name", str, path.stem))
    spec = _spec(fields)
    fields.done()
    return paper_model(name, spec, path)


def paper_model(name: str, spec: ModelSpec, path: Path) -> Model:
    """Return a model that generates text, of which only the facts are known."""
    stored = StoredModel(
        name=name,
        short_name=name,
        digest="",
        size=spec.file_bytes,
        modified_at=0.0,
        config=ModelConfig(),
        spec=spec,
        weights=path,
    )
    able = ("completion",)
    traits = PromptTraits(mode="native", selected="", capabilities=able, listed_capabilities=able)
    return Model(stored=stored, traits=traits)


def _spec(fields: _Fields) -> ModelSpec:
    parameters, layers = fields.need("parameters", _count), fields.need("layers", _whole)
    width, vocabulary = fields.need("embedding", _whole), fields.need("vocabulary", _whole)
    heads, bits = fields.need("heads", _whole), fields.get("bits", _number, 4.5)
    head = fields.get("head_length", _whole, width // heads)
    ends = int(vocabulary * width * bits / 8)
    block = int(parameters * bits / 8 - 2 * ends) // layers
    if block <= 0:
        raise ConfigError(f"{fields.place}: parameters are too few for this vocabulary and embedding")
    spec = ModelSpec(
        architecture=fields.get("architecture", str, "llama"),
        parameter_count=parameters,
        file_type="",
        file_bytes=layers * block + 2 * ends,
        layer_bytes=(block,) * layers,
        input_bytes=ends,
        output_bytes=ends,
        context_length=fields.get("context", _whole, 0),
        embedding_length=width,
        feed_forward_length=fields.get("feed_forward", _whole, 4 * width),
        vocabulary_length=vocabulary,
        head_count=heads,
        head_count_kv=(fields.get("kv_heads", _whole, heads),) * layers,
        key_length=head,
        value_length=head,
    )
    experts = fields.mapping("experts")
    return _with_experts(spec, experts) if experts else spec


def _with_experts(spec: ModelSpec, fields: _Fields) -> ModelSpec:
    count, used = fields.need("count", _whole), fields.need("used", _whole)
    share = fields.get("share", _part, 0.9)
    fields.done()
    in_experts = tuple(int(size * share) for size in spec.layer_bytes)
    return replace(spec, expert_count=count, expert_used_count=used, expert_bytes=in_experts)


def _devices(fields: _Fields) -> list[Device]:
    count = fields.get("count", _whole, 1)
    memory = fields.need("memory", _size)
    first = Device(
        id="",
        kind=fields.need("kind", _kind),
        name=fields.need("name", str),
        total_bytes=memory,
        free_bytes=memory,
        cores=fields.get("cores", lambda value: parse_cores(str(value)), ()),
        bandwidth=fields.get("bandwidth", _rate, 0.0),
        compute=fields.get("compute", _rate, 0.0),
        power_watts=fields.get("power", _number, None),
    )
    fields.done()
    names = [first.name] if count == 1 else [f"{first.name}-{number}" for number in range(1, count + 1)]
    return [replace(first, id=name) for name in names]


def _links(fields: _Fields, groups: Mapping[str, Sequence[Device]]) -> Iterator[Link]:
    here, there = fields.need("between", lambda value: _pair(value, groups))
    kind: LinkKind = fields.get("kind", _link_kind, "network")
    bandwidth, latency = fields.get("bandwidth", _rate, 0.0), fields.get("latency", _seconds, 0.0)
    fields.done()
    for first, second in combinations(here, 2) if here is there else product(here, there):
        yield Link(first=first.id, second=second.id, kind=kind, bandwidth=bandwidth, latency=latency)


class _Fields:
    """A mapping of the file whose keys are asked for one by one; ``place`` is how errors name it."""

    def __init__(self, content: object, place: str) -> None:
        if not isinstance(content, dict):
            raise ConfigError(f"{place} must be a mapping, not {content!r}")
        self._left = dict(content)
        self.place = place

    def __bool__(self) -> bool:
        return bool(self._left)

    def need(self, key: str, parse: Callable[[Any], Value]) -> Value:
        """Return a value that must be there. Raises ConfigError."""
        if key not in self._left:
            raise ConfigError(f"{self.place}: {key} is missing")
        value = self._left.pop(key)
        try:
            return parse(value)
        except (ValueError, TypeError, KeyError):
            raise ConfigError(f"{self.place}: {key} cannot be {value!r}") from None

    def get(self, key: str, parse: Callable[[Any], Value], default: Value) -> Value:
        """Return a value, or ``default`` where it is not given. Raises ConfigError."""
        return self.need(key, parse) if key in self._left else default

    def mapping(self, key: str) -> _Fields:
        """Return what is below a key, which may be nothing."""
        return _Fields(self._left.pop(key, {}), f"{self.place}: {key}")

    def items(self, key: str) -> list[_Fields]:
        """Return the mappings of a list, which may be absent."""
        content = self._left.pop(key, [])
        if not isinstance(content, list):
            raise ConfigError(f"{self.place}: {key} must be a list, not {content!r}")
        return [_Fields(item, f"{self.place}: {key}[{index}]") for index, item in enumerate(content)]

    def done(self) -> None:
        """Raise ConfigError for a key that nobody has asked for."""
        if self._left:
            raise ConfigError(f"{self.place}: unknown key {next(iter(self._left))!r}")


def _read(path: Path) -> object:
    try:
        return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text"
        raise ConfigError(f"{path}: {reason}") from error
    except YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {error}") from error


def _rate(value: object) -> float:
    """Return what ``936 GB/s`` or ``1e9`` is per second."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0:
        return float(value)
    match = _RATE.fullmatch(str(value))
    if match is None:
        raise ValueError(value)
    return float(match[1]) * (1024.0 if match[3] else 1000.0) ** _SCALES[match[2]]


def _count(value: object) -> int:
    """Return what ``405B`` or a number counts."""
    match = _COUNT.fullmatch(str(value))
    if match is None:
        raise ValueError(value)
    return int(float(match[1]) * _COUNTS[match[2]])


def _seconds(value: object) -> float:
    match = _TIME.fullmatch(str(value))
    if match is None:
        raise ValueError(value)
    return float(match[1]) * _TIMES[match[2]]


def _size(value: object) -> int:
    size = parse_size(str(value))
    if size <= 0:
        raise ValueError(value)
    return size


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(value)
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        raise ValueError(value)
    return float(value)


def _part(value: object) -> float:
    part = _number(value)
    if part > 1:
        raise ValueError(value)
    return part


def _pair(value: object, groups: Mapping[str, Value]) -> tuple[Value, Value]:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(value)
    return groups[value[0]], groups[value[1]]


def _kind(value: object) -> DeviceKind:
    return cast("DeviceKind", _one_of(get_args(DeviceKind), value))


def _link_kind(value: object) -> LinkKind:
    return cast("LinkKind", _one_of(get_args(LinkKind), value))


def _one_of(choices: tuple[str, ...], value: object) -> str:
    if value not in choices:
        raise ValueError(value)
    return str(value)
