"""The settings of a running server: what is shown, what may be changed, what is kept."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from pollama.config import Config
from pollama.config.live import LiveConfig
from pollama.errors import ConfigError, StoreError

TEXT = """\
# mine
max_queue: 7
multi_gpu:
  strategy: data  # for now
  data_parallel: {replicas: 2}
"""


class Server:
    """Obeys settings until it is told to fail."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.home = folder
        self.environ = {"HOME": str(folder), **variables}
        self.obeyed: list[Config] = []
        self.live = LiveConfig(Config.load(self.environ), self.apply)

    @property
    def file(self) -> Path:
        return self.home / ".pollama" / "config.yaml"

    async def apply(self, config: Config) -> None:
        self.obeyed.append(config)


@pytest.fixture
def server(tmp_path: Path) -> Server:
    (tmp_path / ".pollama").mkdir()
    (tmp_path / ".pollama" / "config.yaml").write_text(TEXT)
    return Server(tmp_path)


async def test_a_change_counts_at_once_and_after_a_restart(server: Server) -> None:
    await server.live.update({"multi_gpu": {"strategy": "pipeline", "scheduling": {"migration": {"cooldown": 5}}}})
    (obeyed,) = server.obeyed
    assert (obeyed.several_devices().strategy, obeyed.several_devices().migration.cooldown) == ("pipeline", 5)
    assert Config.load(server.environ) == obeyed
    assert server.file.read_text() == TEXT.replace("strategy: data  #", "strategy: pipeline #") + (
        "  scheduling:\n    migration:\n      cooldown: 5\n"
    )


async def test_corrections_of_predictions_are_switched_in_a_running_server(server: Server) -> None:
    assert Config.load(server.environ).several_devices().corrections
    await server.live.update({"multi_gpu": {"monitoring": {"auto_optimization": False}}})
    assert [config.several_devices().corrections for config in server.obeyed] == [False]
    assert "multi_gpu.monitoring.auto_optimization" not in server.live.describe()["no_effect"]


async def test_null_is_the_default(server: Server) -> None:
    await server.live.update({"multi_gpu": {"strategy": None, "data_parallel": {"replicas": None}}})
    assert server.obeyed[0].several_devices().strategy == "auto"
    assert server.live.describe()["sources"] == {}
    assert server.file.read_text() == "# mine\nmax_queue: 7\n"


async def test_a_file_is_made_where_there_is_none(tmp_path: Path) -> None:
    server = Server(tmp_path)
    await server.live.update({"models": {"llama3": {"replicas": 2}}})
    assert server.live.describe()["models"] == {"llama3:latest": {"replicas": 2}}
    assert Config.load(server.environ).rules == server.obeyed[0].rules


async def test_settings_are_shown_with_their_sources_and_those_without_effect(tmp_path: Path) -> None:
    described = Server(tmp_path, OLLAMA_GPU_STRATEGY="hybrid").live.describe()
    multi_gpu: Any = described["multi_gpu"]
    assert multi_gpu["strategy"] == "hybrid"
    assert multi_gpu["scheduling"]["migration"] == {"enabled": False, "threshold": 0.8, "cooldown": 30}
    assert described["sources"] == {"multi_gpu.strategy": "environment"}
    assert "multi_gpu.backends.primary" in described["no_effect"]
    assert described["file"] == str(tmp_path / ".pollama" / "config.yaml")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"multi_gpu": 3}, "unknown setting 'multi_gpu'"),
        ({"multi_gpu": {"enabled": True, "strategi": "data"}}, "unknown setting 'multi_gpu.strategi'"),
        ({"multi_gpu": {"strategy": "fast"}}, "multi_gpu.strategy must be of type strategy .*, not 'fast'"),
        ({"max_queue": 3}, "max_queue takes effect at a start only"),
        ({"devices": {"cpu": []}}, "devices.cpu takes effect at a start only"),
        ({"models": {"a": {"replicas": "many"}}}, "models.a.replicas must be a whole number from 1 up, not 'many'"),
    ],
)
async def test_a_wrong_change_changes_nothing(server: Server, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        await server.live.update(changes)
    assert (server.obeyed, server.file.read_text()) == ([], TEXT)


async def test_what_the_environment_settles_cannot_be_changed(tmp_path: Path) -> None:
    server = Server(tmp_path, OLLAMA_GPU_STRATEGY="data")
    with pytest.raises(ConfigError, match=r"strategy is set by the environment \(OLLAMA_GPU_STRATEGY\)"):
        await server.live.update({"multi_gpu": {"strategy": "hybrid"}})


async def test_a_change_that_cannot_be_kept_is_taken_back(server: Server) -> None:
    server.file.unlink()
    server.file.mkdir()
    with pytest.raises(StoreError, match=r"config\.yaml"):
        await server.live.update({"multi_gpu": {"strategy": "hybrid"}})
    assert [config.gpu_strategy for config in server.obeyed] in ([], ["hybrid", "data"])
    assert server.live.describe()["multi_gpu"]["strategy"] == "data"


async def test_a_file_that_somebody_has_damaged_is_not_the_fault_of_the_request(server: Server) -> None:
    server.file.write_text("multi_gpu: [")
    with pytest.raises(StoreError, match=r"config\.yaml"):
        await server.live.update({"multi_gpu": {"strategy": "hybrid"}})
    assert (server.obeyed, server.file.read_text()) == ([], "multi_gpu: [")


async def test_a_link_to_the_file_and_its_readers_stay(server: Server, tmp_path: Path) -> None:
    kept = tmp_path / "dotfiles.yaml"
    server.file.rename(kept)
    kept.chmod(0o644)
    server.file.symlink_to(kept)
    await server.live.update({"multi_gpu": {"strategy": "hybrid"}})
    assert server.file.is_symlink()
    assert "strategy: hybrid" in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o644


async def test_what_others_wrote_meanwhile_stays(server: Server) -> None:
    server.file.write_text(TEXT + "models: {a: {slots: 2}}\n")
    changes = ({"multi_gpu": {"strategy": "hybrid"}}, {"multi_gpu": {"data_parallel": {"replicas": 5}}})
    await asyncio.gather(*(server.live.update(change) for change in changes))
    found = Config.load(server.environ)
    assert (found.gpu_strategy, found.replicas, found.rules["a:latest"].slots) == ("hybrid", 5, 2)


async def test_a_change_whose_client_has_gone_is_made_to_the_end(server: Server) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def obey(config: Config) -> None:
        begun.set()
        await go.wait()

    live = LiveConfig(Config.load(server.environ), obey)
    request = asyncio.create_task(live.update({"multi_gpu": {"strategy": "hybrid"}}))
    await begun.wait()
    request.cancel()
    await asyncio.wait([request])
    go.set()
    await live.update({"multi_gpu": {"data_parallel": {"replicas": 5}}})
    found = Config.load(server.environ)
    assert (found.gpu_strategy, found.replicas) == ("hybrid", 5)
    assert live.describe()["multi_gpu"]["strategy"] == "hybrid"


async def test_a_server_that_does_not_obey_keeps_the_file(server: Server) -> None:
    async def refuse(config: Config) -> None:
        raise RuntimeError("not now")

    live = LiveConfig(Config.load(server.environ), refuse)
    with pytest.raises(RuntimeError):
        await live.update({"multi_gpu": {"strategy": "hybrid"}})
    assert server.file.read_text() == TEXT
