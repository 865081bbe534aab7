"""The field ``multi_gpu`` of /api/generate and /api/chat: what a request asks of the devices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from pollama.api.godecode import String, Struct, Untyped
from pollama.errors import BadRequestError
from pollama.types.json import Json
from pollama.types.multigpu import Wish, parse_profile, parse_strategy

WISH: Final = Struct("MultiGPU", {"strategy": String(), "gpu_selection": Untyped(), "performance_profile": String()})

T = TypeVar("T")


def wish_from(fields: dict[str, Any] | None) -> Wish:
    """Return what a request asks; without the field, nothing. Raises BadRequestError, which names the field."""
    if not fields:
        return Wish()
    return Wish(
        strategy=_parsed("strategy", parse_strategy, fields.get("strategy") or "auto"),
        devices=_selection(fields.get("gpu_selection")),
        profile=_parsed("performance_profile", parse_profile, fields.get("performance_profile") or "balanced"),
    )


def _parsed(name: str, parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise BadRequestError(f"multi_gpu.{name} {error}, not {text!r}") from None


def _selection(value: Json) -> tuple[str, ...] | None:
    """Return the devices of ``"auto"``, ``"0,1"``, ``["GPU-1"]`` or ``[0, 1]``; None for any."""
    items = value.split(",") if isinstance(value, str) else value
    if items in (None, ["auto"], [""], []):
        return None
    names = list(map(_device, items)) if isinstance(items, list) else [""]
    if not all(names):
        raise BadRequestError("multi_gpu.gpu_selection must be auto or a list of devices by id, name or number")
    return tuple(names)


def _device(item: Json) -> str:
    """Return what names a device; "" for what does not. JSON numbers are floats here, as in Go."""
    if isinstance(item, float) and item >= 0 and item.is_integer():
        return str(int(item))
    return item.strip() if isinstance(item, str) else ""
