"""Devices, log and load report of the engine library."""

from __future__ import annotations

import ctypes
import logging
from pathlib import Path

import pytest

from pollama.errors import LoadError
from pollama.native.binding import declare, ggml
from pollama.native.buffers import read_report
from pollama.native.devices import list_devices
from pollama.native.library import EngineLog
from pollama.runners.llamacpp.engine import Engine
from pollama.runners.llamacpp.load import load
from pollama.types.options import Options
from pollama.types.plans import Stage
from tests.engine.support import spec_of

LOAD_LOG = """\
load_tensors: offloaded 33/33 layers to GPU
load_tensors:   CPU_Mapped model buffer size =   281.81 MiB
load_tensors:        CUDA0 model buffer size =  4155.99 MiB
load_tensors:        CUDA1 model buffer size =   100.00 MiB
llama_kv_cache:      CUDA0 KV buffer size =   900.00 MiB
llama_kv_cache:      CUDA0 KV buffer size =   512.00 MiB
llama_memory_recurrent:      CUDA1 RS buffer size =     2.00 MiB
llama_context:  CUDA_Host  output buffer size =     0.49 MiB
sched_reserve:      CUDA0 compute buffer size =   300.00 MiB
sched_reserve:      CUDA0 compute buffer size =   258.50 MiB
"""


def test_caches_add_up_and_of_graphs_the_last_reservation_counts() -> None:
    report = read_report(LOAD_LOG.splitlines())
    mib = 1024 * 1024
    sizes = {device: (use.weights / mib, use.kv / mib, use.compute / mib) for device, use in report.devices.items()}
    assert sizes == {
        "CPU": (pytest.approx(281.81), 0, 0),
        "CUDA0": (pytest.approx(4155.99), 1412, 258.5),
        "CUDA1": (100, 2, 0),
        "CUDA_Host": (0, 0, pytest.approx(0.49, abs=0.01)),
    }
    assert (report.layers_offloaded, report.layers_total) == (33, 33)


def test_this_machine_has_a_cpu() -> None:
    devices = list_devices()
    cpu = next(device for device in devices if device.kind == "cpu")
    assert cpu.name == "CPU"
    assert 0 < cpu.memory_free <= cpu.memory_total


def test_an_unknown_device_is_refused_with_those_there_are(probe_model: Path) -> None:
    with pytest.raises(LoadError, match=r"no device 'CUDA7' \(it has .*CPU"):
        Engine.load(spec_of(probe_model, stages=(Stage(engine_device="CUDA7", layers=3),)), lambda share: None)


@pytest.mark.parametrize("threads", [3, 5])
def test_openmp_takes_the_threads_of_a_load(probe_model: Path, threads: int) -> None:
    most = declare(ggml("ggml-cpu"), "omp_get_max_threads", ctypes.c_int)
    loaded = load(spec_of(probe_model, options=Options(num_thread=threads)), lambda share: None)
    loaded.memory.close()
    loaded.model.close()
    assert most() == threads


def test_log_lines_come_in_pieces_and_errors_are_kept(caplog: pytest.LogCaptureFixture) -> None:
    log = EngineLog()
    with caplog.at_level(logging.DEBUG, "pollama.llama"), log.capture() as lines:
        log.receive(2, "loading ")
        log.receive(5, "tensors\n")
        log.receive(4, "it broke: ")
        log.receive(5, "badly\nagain\n")
        log.receive(2, "....\n")
    assert lines == ["loading tensors", "it broke: badly", "again"]
    assert log.error_text() == "it broke: badly; again"
    assert [record.getMessage() for record in caplog.records] == lines
    with log.capture():
        assert log.error_text() == ""
