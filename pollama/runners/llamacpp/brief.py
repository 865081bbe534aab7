"""Threads that end when their work is done.

libgomp keeps the helpers of every thread that has computed with several, as long as that thread lives. While there are
more of them than cores, idle or not, it lets all that wait sleep at once instead of spinning for a moment
(``GOMP_SPINCOUNT``), and a short step takes twice as long. So whatever computes beside the engine's own thread does it
on a thread that does not stay.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def briefly(function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Call a function on a thread that has ended when this returns."""
    with ThreadPoolExecutor(1, "brief") as executor:
        return executor.submit(function, *arguments, **named).result()
