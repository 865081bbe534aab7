"""How often, how long and how patiently: the times of transfers, and what is tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from pollama.errors import PollamaError

ATTEMPTS: Final = 6
Result = TypeVar("Result")


class RegistryError(PollamaError):
    """A registry refused a request or answered what it should not."""


class MissingError(RegistryError):
    """The registry does not have what was asked for."""

    def __init__(self) -> None:
        super().__init__("file does not exist")


class TransientError(RegistryError):
    """A failure that may pass: a broken connection, or an answer that says so."""


class StalledError(TransientError):
    """No byte has arrived for too long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Times in seconds. ``progress``: between two records; ``stall``: without a byte before a part is begun again.

    ``slow``: how long a part may take before another stream helps.
    """

    progress: float = 0.06
    slow: float = 0.25
    stall: float = 30.0
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


async def retried(pace: Pace, attempt: Callable[[], Awaitable[Result]]) -> Result:
    """Return what ``attempt`` returns; after a passing failure wait 1, 2, 4 ... seconds and try again.

    A stall costs no attempt. Raises RegistryError ``max retries exceeded`` after six failures.
    """
    failures = 0
    while True:
        try:
            return await attempt()
        except StalledError:
            continue
        except TransientError as error:
            failures += 1
            if failures == ATTEMPTS:
                raise RegistryError(f"max retries exceeded: {error}") from error
        await pace.sleep(2.0 ** (failures - 1))
