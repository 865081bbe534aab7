"""Model options as a request or a Modelfile states them, with Ollama's defaults and type errors.

Source: the observable behaviour of Ollama's ``options`` object (defaults < model parameters < request).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from pollama.errors import OptionTypeError
from pollama.types.gojson import shortest_float32
from pollama.types.json import Json

LOAD_OPTIONS: Final = ("num_ctx", "num_batch", "num_gpu", "main_gpu", "use_mmap", "num_thread", "draft_num_predict")
"""Options that shape the loaded model; a change of one of them means another load."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """One set of option values.

    Counts are tokens; ``temperature`` and penalties are dimensionless. ``num_ctx`` 0, ``num_gpu`` -1 and
    ``num_thread`` 0 mean "automatic". ``explicit`` names the options that a model or a request set.
    """

    num_ctx: int = 0
    num_batch: int = 512
    num_gpu: int = -1
    main_gpu: int | None = None
    use_mmap: bool | None = None
    num_thread: int = 0
    draft_num_predict: int = 4
    num_keep: int = 4
    seed: int = -1
    num_predict: int = -1
    top_k: int = 40
    top_p: float = 0.9
    min_p: float = 0.0
    typical_p: float = 1.0
    repeat_last_n: int = 64
    temperature: float = 0.8
    repeat_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    stop: tuple[str, ...] = ()
    explicit: frozenset[str] = frozenset()

    def updated(self, values: Mapping[str, Json]) -> Options:
        """Return these options with ``values`` laid over them; unknown keys and nulls are skipped.

        Raises OptionTypeError for a value of the wrong JSON type.
        """
        known = {key: value for key, value in values.items() if key in _CONVERTERS and value is not None}
        if not known:
            return self  # as most often: copying so many fields is not free
        converted: dict[str, Any] = {key: _CONVERTERS[key](key, value) for key, value in known.items()}
        return replace(self, **converted, explicit=self.explicit | converted.keys())

    def require_finite(self) -> None:
        """Raise OptionTypeError for a number that 32 bits cannot hold: it may be stored, but not sampled with."""
        for name, convert in _CONVERTERS.items():
            if convert is _float and not math.isfinite(getattr(self, name)):
                raise OptionTypeError(name, "of type float32")

    def load_key(self) -> tuple[object, ...]:
        """Return the values that decide whether a loaded runner can serve these options."""
        return tuple(getattr(self, name) for name in LOAD_OPTIONS)


def _integer(key: str, value: Json) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise OptionTypeError(key, "of type integer")
    return int(value)


def _float(key: str, value: Json) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise OptionTypeError(key, "of type float32")
    return shortest_float32([value])[0]


def _boolean(key: str, value: Json) -> bool:
    if not isinstance(value, bool):
        raise OptionTypeError(key, "of type boolean")
    return value


def _strings(key: str, value: Json) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        raise OptionTypeError(key, "of type array")
    if not all(isinstance(item, str) for item in value):
        raise OptionTypeError(key, "of an array of strings")
    return tuple(value)


_BY_ANNOTATION: Final = {
    "int": _integer,
    "int | None": _integer,
    "float": _float,
    "bool | None": _boolean,
    "tuple[str, ...]": _strings,
}
_CONVERTERS: Final = {
    field.name: _BY_ANNOTATION[str(field.type)] for field in fields(Options) if field.name != "explicit"
}
