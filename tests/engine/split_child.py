"""A process for the split test: ``serve PORT`` is a device worker, ``generate MODEL PORT ...`` uses several.

Both end in ways that would take a test process along: a worker serves for ever, and a client of a worker that has gone
aborts.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

from pollama.native import rpc
from pollama.runners.llamacpp.engine import Engine
from pollama.types.plans import Share
from tests.engine.support import answer, greedy, spec_of


def share(layers: int) -> Share:
    return Share(device="any", layers=layers, weight_bytes=0, kv_bytes=0, compute_bytes=0)


async def generate(model: Path, ports: list[str]) -> None:
    """Print where the weights are and what the model says."""
    devices = tuple(name for port in ports for name in rpc.add_server(f"127.0.0.1:{port}"))
    spec = spec_of(model)
    plan = replace(spec.plan, gpu_layers=3, split="layer", shares=(share(1), share(2)))
    engine = Engine.load(replace(spec, engine_devices=devices, plan=plan), lambda share: None)
    engine.start(asyncio.get_running_loop())
    print(sorted(use.weights for use in engine.info.buffers if use.device.startswith("RPC")))
    print((await answer(engine, greedy("please count"))).text)
    engine.close()


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        rpc.serve(f"127.0.0.1:{sys.argv[2]}", ["CPU"], 1)
    else:
        asyncio.run(generate(Path(sys.argv[2]), sys.argv[3:]))
