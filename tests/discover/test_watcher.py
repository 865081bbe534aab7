from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from pollama.discover.watcher import DeviceWatcher, differs
from pollama.types.devices import Device

GPU = Device(id="GPU-1", kind="cuda", name="", total_bytes=1000, free_bytes=500, engine_name="CUDA0")
CPU = Device(id="cpu:0", kind="cpu", name="", total_bytes=2000, free_bytes=900, cores=(0,))


@pytest.mark.parametrize(
    ("now", "new"),
    [
        ([GPU, CPU], False),
        ([replace(GPU, free_bytes=491), CPU], False),
        ([replace(GPU, free_bytes=489), CPU], True),
        ([replace(GPU, free_bytes=511), CPU], True),
        ([GPU, replace(CPU, free_bytes=885)], False),
        ([CPU], True),
        ([GPU, CPU, replace(GPU, id="GPU-2")], True),
        ([replace(GPU, id="GPU-2"), CPU], True),
        ([replace(GPU, bandwidth=1e9), CPU], True),
        ([replace(GPU, limit_bytes=10), CPU], True),
        ([replace(GPU, engine_name="CUDA1"), CPU], True),
        ([replace(GPU, name="renamed"), CPU], False),
    ],
)
def test_what_counts_as_a_change(now: list[Device], new: bool) -> None:
    assert differs([GPU, CPU], now) is new


class Script:
    """Readings one after the other; the last stays."""

    def __init__(self, *readings: Sequence[Device]) -> None:
        self.readings = list(readings)
        self.read_count = 0

    async def read(self) -> Sequence[Device]:
        self.read_count += 1
        return self.readings.pop(0) if len(self.readings) > 1 else self.readings[0]


async def test_only_changes_are_told(caplog: pytest.LogCaptureFixture) -> None:
    taken = replace(GPU, free_bytes=100)
    script = Script([GPU, CPU], [GPU, CPU], [taken, CPU], [taken, CPU], [CPU], [GPU, CPU])
    changes = DeviceWatcher(script.read, seconds=0).changes()
    with caplog.at_level("INFO"):
        assert [await anext(changes) for _ in range(3)] == [[taken, CPU], [CPU], [GPU, CPU]]
    assert caplog.messages == ["devices are gone: GPU-1", "new devices: GPU-1"]
    await changes.aclose()


async def test_slow_changes_add_up() -> None:
    shrinking = [[replace(GPU, free_bytes=500 - 4 * step)] for step in range(9)]
    changes = DeviceWatcher(Script(*shrinking).read, seconds=0).changes()
    assert [(await anext(changes))[0].free_bytes for _ in range(2)] == [488, 476]
    await changes.aclose()


async def test_nothing_is_read_while_nobody_wants_to_know() -> None:
    script = Script([GPU], [])
    wanted = iter([False, False, True])
    reads = []

    def asked() -> bool:
        reads.append(script.read_count)
        return next(wanted)

    changes = DeviceWatcher(script.read, asked, seconds=0).changes()
    assert await anext(changes) == []
    assert reads == [1, 1, 1]
    await changes.aclose()
