"""``config`` and ``migrate-models``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.cli.scripted import Script


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "own.yaml"


def test_settings_are_listed_with_their_source_and_what_has_no_effect(cli: Cli, file: Path) -> None:
    file.write_text("multi_gpu: {strategy: hybrid}")
    lines = {line.split()[0]: line.split() for line in cli("config", "show", "--config", str(file)).out.splitlines()}
    assert lines["multi_gpu.strategy"][:3] == ["multi_gpu.strategy", "hybrid", "file"]
    assert lines["max_queue"][1:3] == ["512", "default"]
    assert lines["multi_gpu.backends.primary"][3:6] == ["no", "effect", "yet:"]


def test_a_value_is_written_and_read_with_comments_kept(cli: Cli, file: Path) -> None:
    file.write_text("# mine\nmax_queue: 3  # few\n")
    assert cli("config", "set", "max_queue", "5", "--config", str(file)).status == 0
    assert file.read_text() == "# mine\nmax_queue: 5  # few\n"
    assert cli("config", "get", "max_queue", "--config", str(file)).out == "5\n"
    cli("config", "set", "max_queue", "null", "--config", str(file))
    assert cli("config", "get", "max_queue", "--config", str(file)).out == "512\n"


def test_a_running_server_is_told(cli: Cli, script: Script) -> None:
    script.on("PUT /api/multigpu/config", {})
    assert "changed in the running server" in cli("config", "set", "multi_gpu.data_parallel.replicas", "2").out
    assert script.bodies("/api/multigpu/config") == [{"multi_gpu": {"data_parallel": {"replicas": 2}}}]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("set", "multi_gpu.strategy", "fast"), "Error: multi_gpu.strategy must be of type strategy"),
        (("set", "multi_gpu.strategi", "data"), "Error: unknown setting 'multi_gpu.strategi'"),
        (("get", "nothing"), "Error: unknown setting 'nothing'"),
        (("set", "origins", "[a"), "Error: '[a' is not YAML"),
        (("set", "max_queue"), "Error: unknown use of config"),
        (("change",), "Error: unknown use of config"),
    ],
)
def test_a_wrong_use_is_refused_and_changes_nothing(
    cli: Cli, file: Path, arguments: tuple[str, ...], message: str
) -> None:
    outcome = cli("config", *arguments, "--config", str(file))
    assert outcome.status == 1
    assert message in outcome.err
    assert not file.exists()


def test_models_are_moved_to_better_devices(cli: Cli, script: Script) -> None:
    move = {
        "model": "a:latest",
        "replica": 1,
        "from": ["cpu:0"],
        "to": ["cpu:1"],
        "state": "loading",
        "reason": "faster",
    }
    script.on("POST /api/multigpu/rebalance", {"moves": [move]})
    assert cli("migrate-models", "--multi-gpu").out == (
        "MODEL       REPLICA    FROM     TO       REASON \na:latest    1          cpu:0    cpu:1    faster    \n"
    )


def test_nothing_to_move_is_said(cli: Cli, script: Script) -> None:
    script.on("POST /api/multigpu/rebalance", {"moves": []})
    assert cli("migrate-models").out == "All replicas are where they should be.\n"
