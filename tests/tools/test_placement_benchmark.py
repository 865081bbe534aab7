"""The experiments that hold the planner to reality: their cells, their statistics, their tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from benchmarks.placement import tables
from benchmarks.placement.cells import DEVICE_SETS, MODELS, grounds, layouts
from benchmarks.placement.figures import Cell, Outcome, summary
from benchmarks.placement.grid import described
from benchmarks.placement.pool import pooled
from benchmarks.placement.pool import tables as pool_tables
from benchmarks.placement.predict import model_of, predicted, too_little
from benchmarks.placement.server import configuration
from benchmarks.placement.unequal import Planned, borders, planned_of, report
from benchmarks.split import Figures
from pollama.scheduler.costs import Demand

PROBE = Path(__file__).parents[1] / "data" / "models" / "probe.gguf"


def outcome(*speeds: float, predicted: float = 100.0, loaded: str = "cpu:0") -> Outcome:
    return Outcome(speeds=speeds, predicted=predicted, loaded=loaded)


def cell(**outcomes: Outcome) -> Cell:
    return Cell(model="m", devices="equal", clients=16, outcomes=outcomes)


def replica(split: str, **layers: int) -> dict[str, Any]:
    shares = [
        {"device": device, "layers": count, "weights": 1, "kv_cache": 1, "compute": 1}
        for device, count in layers.items()
    ]
    facts = {"sequences": 16, "context_length": 256, "cells": 4096, "shared_cells": False, "batch": 512}
    return {"plan": {"shares": shares, "split": split, "gpu_layers": 0, **facts}}


def test_every_model_meets_every_set_of_devices() -> None:
    found = list(grounds(list(MODELS), DEVICE_SETS))
    assert len(found) == len(set(found)) == len(MODELS) * len(DEVICE_SETS) >= 12


def test_one_client_is_not_served_by_replicas_and_asks_for_latency() -> None:
    one, many = layouts(["a", "b"], 1), layouts(["a", "b"], 4)
    assert [layout.name for layout in one] == ["alone on a", "alone on b", "pipeline", "tensor", "auto"]
    assert [layout.name for layout in many] == ["alone on a", "alone on b", "data", "pipeline", "tensor", "auto"]
    assert one[-1].wish["performance_profile"] == "latency"


def test_a_choice_is_compared_within_each_round() -> None:
    found = cell(slow=outcome(10, 40), fast=outcome(20, 60, loaded="x"), auto=outcome(19, 54))
    assert found.best == "fast"
    assert found.share == pytest.approx((19 / 20 + 54 / 60) / 2)
    assert found.share_as_planned == pytest.approx((10 + 40 + 19 + 54) / 4 / 40)


def test_the_summary_counts_good_choices_and_tells_scale_from_error() -> None:
    good = cell(data=outcome(50, predicted=100), auto=outcome(48, predicted=96))
    bad = cell(data=outcome(50, predicted=100, loaded="y"), auto=outcome(20, predicted=80))
    of = summary([good, bad])
    assert (of.cells, of.good) == (2, 0.5)
    assert of.errors.worst == pytest.approx(3.0)
    assert of.errors.scale == pytest.approx(0.5)
    assert of.errors.scaled == pytest.approx(0.0)
    assert "50% of 2" in tables.summed(of)


def test_tables_name_the_best_layout_and_the_choice() -> None:
    found = cell(data=outcome(50, loaded="cpu:0, cpu:1"), auto=outcome(40))
    assert "| m | equal | 16 | data: 50 | cpu:0: 40 | 0.80 |" in tables.grid([found])
    assert "data 100 / 50; auto 100 / 40" in tables.layouts([found])


def test_what_is_loaded_is_told_by_its_shape() -> None:
    assert described([replica("none", a=5), replica("none", b=5)]) == "a, b"
    assert described([replica("layer", a=3, b=2)]) == "a (3) > b (2)"
    assert described([replica("tensor", a=5, b=5)]) == "a+b"


def test_predictions_are_those_of_the_cost_model() -> None:
    model = model_of(PROBE)
    devices = [
        {
            "id": name,
            "kind": "cpu",
            "name": name,
            "memory_total": 1 << 30,
            "cores": [0],
            "bandwidth": 1e9,
            "compute": 1e9,
        }
        for name in ("a", "b")
    ]
    topology = {"devices": devices, "links": [{"from": "a", "to": "b", "kind": "package"}]}
    demand = Demand(clients=4, prompt=8, answer=16)
    layers = model.stored.spec.layer_count + 1 if model.stored.spec else 0

    def rate(*replicas: dict[str, Any]) -> float:
        return predicted(model, topology, replicas, demand)

    alone = rate(replica("none", a=layers))
    assert rate(replica("none", a=layers), replica("none", b=layers)) > alone
    assert rate(replica("layer", a=layers - 1, b=1)) < alone


def test_a_limited_device_has_no_memory_for_the_whole_model() -> None:
    model = model_of(PROBE)
    assert model.stored.spec is not None
    assert 0 < too_little(model, 256) < too_little(model, 512)


def test_a_server_gets_a_device_per_core() -> None:
    read = YAML(typ="safe", pure=True).load(configuration((0, 3), (1000, 0)))
    assert read["devices"]["cpu"] == [{"cores": "0", "memory": 1000}, {"cores": "3"}]


def test_a_sweep_has_the_planners_border_and_half() -> None:
    assert borders(13, 5, quick=False) == [1, 3, 5, 6, 7, 9, 11, 12]
    assert borders(13, 2, quick=True) == [1, 2, 5, 6, 9, 12]


def test_borders_are_reported_against_the_planners() -> None:
    planned = planned_of([replica("layer", a=11, b=2)], {"a": 0, "b": 1}, "a")
    assert planned == Planned(cores=(0, 1), layers=(11, 2), groups=1, auto="a")
    found = {"11 + 2": [Figures(40.0, [], [])], "7 + 6": [Figures(30.0, [], [])]}
    assert "| 7 + 6 | in proportion to memory | 30.0 | 0.75 |" in report(found, planned)


def run_of(loaded: str, *speeds: float, predicted: float) -> dict[str, Any]:
    return {"loaded": loaded, "speeds": list(speeds), "predicted": predicted}


def cell_of(*runs: dict[str, Any], clients: int = 1) -> dict[str, Any]:
    return {"model": "m", "devices": "equal", "clients": clients, "outcomes": dict(enumerate(runs))}


def test_runs_are_pooled_by_what_was_loaded_and_judged_by_the_planners_rule() -> None:
    first = cell_of(run_of("cpu:0", 80, predicted=1), run_of("cpu:1+cpu:0", 100, predicted=1))
    last = cell_of(
        run_of("cpu:0", 90, 94, predicted=95),
        run_of("cpu:0+cpu:1", 110, predicted=100),
        run_of("cpu:1 (3) > cpu:0 (4)", 20, predicted=30),
    )
    (cell,) = pooled([[first], [last]])
    assert {layout.loaded: layout.speed for layout in cell.layouts} == {
        "cpu:0": 90,
        "cpu:0+cpu:1": 105,
        "cpu:0 > cpu:1": 20,
    }
    assert (cell.best.loaded, cell.chosen.loaded) == ("cpu:0+cpu:1", "cpu:0")  # 95 is more than nine tenths of 100
    assert cell.share == 90 / 105
    assert "| m | equal | 1 | cpu:0+cpu:1: 105 | cpu:0: 90 | 0.86 | 95 |" in pool_tables([cell])


def test_runs_of_different_grids_are_not_pooled() -> None:
    one, other = (cell_of(run_of("cpu:0", 80, predicted=1), clients=clients) for clients in (1, 4))
    with pytest.raises(ValueError, match="not of one grid"):
        pooled([[one], [other]])
