"""Devices and links measured with ggml's own kernels."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from pollama.native.errors import NativeError
from pollama.native.speed import measure
from pollama.native.speed_graph import MATRIX_BYTES, WIDTH, Computer, random_weights


def first_row(matrix: np.ndarray) -> np.ndarray:
    """The weights of the first row as Q4_0 defines them: low halves first, 8 stands for 0."""
    blocks = matrix[: WIDTH // 32]
    scales = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    quants = np.hstack([blocks[:, 2:] & 15, blocks[:, 2:] >> 4]).astype(np.float32) - 8
    return (scales * quants).reshape(WIDTH)


def test_what_is_timed_is_the_product() -> None:
    expected = first_row(random_weights()).sum()
    computer = Computer("CPU", 1)
    with computer.weights(2) as matrices, computer.product(matrices[:1], 1) as product:
        assert product.compute() == pytest.approx(expected, rel=0.02)
    computer.close()


def test_a_long_chain_of_products_neither_grows_nor_vanishes() -> None:
    computer = Computer("CPU", 1)
    with computer.weights(8) as matrices, computer.product([*matrices] * 16, 1) as product:
        assert 1e-3 < abs(product.compute()) < 1e3
    computer.close()


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(NativeError, match="no device 'CUDA7'"):
        measure("CUDA7", 1, MATRIX_BYTES)


def test_memory_that_a_device_does_not_have() -> None:
    computer = Computer("CPU", 1)
    with pytest.raises(NativeError, match="too little memory"), computer.tensor(1 << 60):
        pass
    computer.close()


def test_a_process_ends_with_the_one_that_started_it() -> None:
    command = (sys.executable, "-m", "pollama.native.speed", "--device", "CPU", "--size", str(1 << 26))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        output, _ = child.communicate()  # closes standard input
    assert (child.returncode, output) == (1, b"")


def run(module: str, *arguments: str) -> dict[str, float]:
    command = (sys.executable, "-m", f"pollama.native.{module}", *arguments)
    done = subprocess.run(command, capture_output=True, check=True)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def test_a_device_is_measured_in_a_process_of_its_own() -> None:
    speed = run("speed", "--device", "CPU", "--cores", "0", "--size", str(4 * MATRIX_BYTES))
    assert speed["bandwidth"] > 1e6
    assert speed["compute"] > speed["bandwidth"]
    assert 0 < speed["share"] <= 1


def test_the_way_to_another_process_is_measured() -> None:
    link = run("speed_link", "--cores", "0", "--to", "0")
    assert link["bandwidth"] > 1e6
    assert 0 < link["latency"] < 1


def test_the_way_to_a_device_of_the_same_process_is_measured() -> None:
    assert run("speed_link", "--device", "CPU")["bandwidth"] > 1e6


def test_the_way_between_two_devices_of_the_same_process_is_measured() -> None:
    link = run("speed_link", "--device", "CPU", "--from", "CPU")
    assert link["bandwidth"] > 1e6
    assert 0 < link["latency"] < 1
