"""``serve``: what its flags make of the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from pollama import start
from pollama.config import Config
from tests.cli.conftest import Cli


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """The configurations that a server was started with; none of them is started."""
    configs: list[Config] = []
    monkeypatch.setattr(start, "serve", configs.append)
    return configs


@pytest.mark.parametrize(
    ("arguments", "variable", "expected"),
    [([], "", False), ([], "1", True), (["--multi-gpu"], "", True), (["--multi-gpu=false"], "1", False)],
)
def test_several_devices_are_switched_on_by_flag_or_variable(
    cli: Cli,
    served: list[Config],
    monkeypatch: pytest.MonkeyPatch,
    *,
    arguments: list[str],
    variable: str,
    expected: bool,
) -> None:
    monkeypatch.setenv("OLLAMA_MULTI_GPU", variable)
    assert cli("serve", *arguments).status == 0
    assert [config.multi_gpu for config in served] == [expected]


def test_a_file_is_read_and_its_faults_are_told(cli: Cli, served: list[Config], tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("multi_gpu: {strategy: fastest}")
    outcome = cli("serve", "--config", str(file))
    assert (outcome.status, served) == (1, [])
    assert f"Error: {file}: multi_gpu.strategy must be of type strategy" in outcome.err
