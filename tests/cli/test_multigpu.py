"""``gpus`` and ``plan``."""

from __future__ import annotations

from pollama.types.json import Json
from tests.cli.conftest import Cli
from tests.cli.scripted import Script

CORE: Json = {
    "id": "cpu:0-1",
    "kind": "cpu",
    "name": "CPU (cores 0-1)",
    "cores": [0, 1],
    "memory_total": 16_000_000_000,
    "memory_limit": 2_000_000_000,
    "memory_free": 1_500_000_000,
    "replicas": 1,
}
GPU: Json = {
    "id": "GPU-1",
    "kind": "cuda",
    "name": "H100",
    "memory_total": 80_000_000_000,
    "memory_free": 7,
    "replicas": 0,
}
SHARE: Json = {"device": "cpu:0-1", "layers": 9, "weights": 1000, "kv_cache": 2000, "compute": 3000}


def test_devices_and_links_are_listed(cli: Cli, script: Script) -> None:
    script.on("GET /api/multigpu/status", {"devices": [CORE, GPU]})
    link = {"from": "cpu:0-1", "to": "cpu:2", "kind": "numa", "distance": 21}
    script.on("GET /api/multigpu/topology", {"links": [link]})
    assert cli("gpus").out == (
        "ID         KIND    NAME               CORES    MEMORY    FREE      REPLICAS \n"
        "cpu:0-1    cpu     CPU (cores 0-1)    0-1      2 GB      1.5 GB    1           \n"
        "GPU-1      cuda    H100               -        80 GB     7 B       0           \n"
        "\n"
        "FROM       TO       LINK    DISTANCE \n"
        "cpu:0-1    cpu:2    numa    21          \n"
    )


def test_one_device_has_no_links(cli: Cli, script: Script) -> None:
    script.on("GET /api/multigpu/status", {"devices": [GPU]})
    script.on("GET /api/multigpu/topology", {"links": []})
    assert "FROM" not in cli("gpus").out


def test_a_plan_is_a_table_of_shares(cli: Cli, script: Script) -> None:
    replica = {"shares": [SHARE], "context_length": 4096, "sequences": 4}
    planned = {"possible": True, "fits_now": False, "replicas": [replica, replica]}
    script.on("GET /api/multigpu/plan", planned)
    assert cli("plan", "org/a:b").out == (
        "REPLICA    DEVICE     LAYERS    WEIGHTS    KV CACHE    COMPUTE    CONTEXT    SEQUENCES \n"
        "1          cpu:0-1    9         1 KB       2 KB        3 KB       4096       4            \n"
        "2          cpu:0-1    9         1 KB       2 KB        3 KB       4096       4            \n"
        "\n"
        "Other models have to leave first.\n"
    )
    assert script.requests[-1].path.startswith("/api/multigpu/plan?model=org%2Fa%3Ab")


def test_a_refusal_is_an_error(cli: Cli, script: Script) -> None:
    script.on("GET /api/multigpu/plan", {"possible": False, "reason": "model requires more memory"})
    outcome = cli("plan", "big")
    assert (outcome.status, outcome.out, outcome.err) == (1, "", "Error: model requires more memory\n")
