"""``serve``: the server in the foreground."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pollama.cli import flags
from pollama.cli.command import NONE, command
from pollama.config import Config

ENVIRONMENT: Final = (
    "OLLAMA_DEBUG",
    "OLLAMA_HOST",
    "OLLAMA_CONTEXT_LENGTH",
    "OLLAMA_KEEP_ALIVE",
    "OLLAMA_MAX_LOADED_MODELS",
    "OLLAMA_MAX_TRANSFER_STREAMS",
    "OLLAMA_MAX_QUEUE",
    "OLLAMA_MODELS",
    "OLLAMA_NUM_PARALLEL",
    "OLLAMA_NO_CLOUD",
    "OLLAMA_NOPRUNE",
    "OLLAMA_ORIGINS",
    "OLLAMA_SCHED_SPREAD",
    "OLLAMA_FLASH_ATTENTION",
    "OLLAMA_KV_CACHE_TYPE",
    "OLLAMA_LLM_LIBRARY",
    "OLLAMA_GPU_OVERHEAD",
    "OLLAMA_IGPU_ENABLE",
    "LLAMA_ARG_FIT",
    "LLAMA_ARG_FIT_TARGET",
    "OLLAMA_LOAD_TIMEOUT",
)


@command("serve", NONE, ENVIRONMENT)
@flags.text("--config", is_path=True, help="Read settings from this YAML file (default ~/.pollama/config.yaml)")
@flags.switch("--multi-gpu", help="Run replicas of a model on several devices", default=None)
def serve(arguments: tuple[str, ...], config: str, *, multi_gpu: bool | None) -> None:
    """Serve until SIGINT or SIGTERM."""
    from pollama import start  # noqa: PLC0415  (help needs none of it)

    overrides = {} if multi_gpu is None else {"multi_gpu": multi_gpu}
    start.serve(Config.load(file=Path(config) if config else None, overrides=overrides))
