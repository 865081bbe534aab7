"""``plan --devices``: plans by arithmetic for devices and models that need not exist."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Cli

HOUSE = """
devices:
  - {name: rtx3090, kind: cuda, count: 8, memory: 24GiB, bandwidth: 936GB/s, compute: 71T, power: 350}
  - {name: rtx4060, kind: cuda, count: 5, memory: 16GiB, bandwidth: 288 GB/s, compute: 30T}
  - {name: host, kind: cpu, cores: 0-15, memory: 128GiB, bandwidth: 60GB/s, compute: 1T}
links:
  - {between: [rtx3090, rtx4060], kind: network, bandwidth: 1.2GB/s, latency: 0.2ms}
  - {between: [rtx4060, rtx4060], kind: pcie}
"""
SHAPE = """
parameters: 405B
layers: 126
embedding: 16384
feed_forward: 53248
vocabulary: 128256
heads: 128
kv_heads: 8
context: 8192
"""
MIXTURE = SHAPE + "experts: {count: 64, used: 4, share: 0.95}\n"


@pytest.fixture
def house(home: Path) -> Path:
    (home / "house.yaml").write_text(HOUSE)
    return home / "house.yaml"


@pytest.fixture
def shape(home: Path) -> Path:
    (home / "shape.yaml").write_text(SHAPE)
    return home / "shape.yaml"


def test_405_billion_parameters_over_consumer_gpus(cli: Cli, house: Path, shape: Path) -> None:
    rows = [line.split() for line in cli("plan", str(shape), "--devices", str(house)).out.splitlines()]
    layers = {row[1]: int(row[2]) for row in rows if row and row[0] == "1"}
    assert sum(layers.values()) == 127
    assert {f"rtx3090-{number}" for number in range(1, 9)} <= layers.keys()
    assert layers["host"] == 0
    chosen = next(row for row in rows if row and row[0] == "*")
    assert chosen[1] == "pipeline"
    assert 5 < float(chosen[2]) < 200
    assert "left" in chosen


def test_a_mixture_of_experts_is_faster(cli: Cli, house: Path, shape: Path) -> None:
    def speed() -> float:
        lines = cli("plan", str(shape), "--devices", str(house)).out.splitlines()
        return float(next(line.split()[2] for line in lines if line.startswith("*")))

    dense = speed()
    shape.write_text(MIXTURE)
    assert speed() > 1.5 * dense


def test_a_gguf_file(cli: Cli, house: Path) -> None:
    outcome = cli("plan", str(Path(__file__).parents[1] / "data/models/probe.gguf"), "--devices", str(house))
    assert "replicas, each on a device of its own" in outcome.out


def test_what_does_not_fit_says_so(cli: Cli, house: Path, shape: Path) -> None:
    house.write_text("devices: [{name: one, kind: cuda, memory: 8GiB}]")
    outcome = cli("plan", str(shape), "--devices", str(house))
    assert outcome.status == 1
    assert "one: 7.8 of 8.0 GiB" in outcome.err


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("devices: []", "devices must be a list of at least one device"),
        ("devices: {}", "devices must be a list, not {}"),
        ("devices: [{name: a, kind: cuda}]", "devices[0]: memory is missing"),
        ("devices: [{name: a, kind: npu, memory: 1GiB}]", "devices[0]: kind cannot be 'npu'"),
        ("devices: [{name: a, kind: cuda, memory: much}]", "devices[0]: memory cannot be 'much'"),
        ("devices: [{name: a, kind: cuda, memory: 1GiB, speed: 3}]", "devices[0]: unknown key 'speed'"),
        ("devices: [{name: a, kind: cuda, memory: 1GiB, bandwidth: fast}]", "bandwidth cannot be 'fast'"),
        ("devices: [{name: a, kind: cuda, memory: 1GiB, count: 0}]", "count cannot be 0"),
        ("devices: [3]", "devices[0] must be a mapping, not 3"),
        ("devices: [{name: a, kind: cpu, memory: 1B}, {name: a, kind: cpu, memory: 1B}]", "a device 'a' already"),
        (HOUSE + "  - {between: [rtx3090, cellar]}", "links[2]: between cannot be ['rtx3090', 'cellar']"),
        (HOUSE + "  - {between: [host, host], latency: soon}", "links[2]: latency cannot be 'soon'"),
        ("devices: [", "not YAML"),
        ("7", "must be a mapping"),
        (HOUSE + "rooms: 3", "unknown key 'rooms'"),
    ],
)
def test_what_is_wrong_with_a_house_is_named(cli: Cli, house: Path, shape: Path, text: str, complaint: str) -> None:
    house.write_text(text)
    outcome = cli("plan", str(shape), "--devices", str(house))
    assert outcome.status == 1
    assert outcome.err.startswith(f"Error: {house}")
    assert complaint in outcome.err


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (SHAPE.replace("405B", "lots"), "parameters cannot be 'lots'"),
        (SHAPE.replace("layers: 126", "layers: -1"), "layers cannot be -1"),
        (SHAPE.replace("405B", "1M"), "parameters are too few"),
        (SHAPE + "colour: red", "unknown key 'colour'"),
        (SHAPE + "experts: {count: 8}", "experts: used is missing"),
    ],
)
def test_what_is_wrong_with_a_shape_is_named(cli: Cli, house: Path, shape: Path, text: str, complaint: str) -> None:
    shape.write_text(text)
    outcome = cli("plan", str(shape), "--devices", str(house))
    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err.startswith(f"Error: {shape}")
    assert complaint in outcome.err


def test_files_that_are_not_there(cli: Cli, house: Path, home: Path) -> None:
    assert "No such file" in cli("plan", "shape.yaml", "--devices", str(home / "no.yaml")).err
    assert "model 'nothing' not found" in cli("plan", "nothing", "--devices", str(house)).err
