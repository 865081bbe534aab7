"""From a LoadSpec to a loaded model and its context."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pollama.errors import LoadError, WeightsError
from pollama.native import rpc
from pollama.native.buffers import LoadReport, read_report
from pollama.native.context import KV_TYPES, Context, ContextSettings
from pollama.native.errors import NativeError
from pollama.native.library import LOG, engine_version, limit_openmp
from pollama.native.lora import load_adapters
from pollama.native.media import Projector, ProjectorSettings
from pollama.native.model import Model, Placement
from pollama.runners.llamacpp.embed import Embedder
from pollama.runners.llamacpp.turn import Turn
from pollama.types.generation import BufferUse, RunnerInfo
from pollama.types.plans import LoadSpec, Stage

_PADDING: Final = 256
"""llama.cpp rounds the length of a context up to a multiple of this."""
_PREFIX_SLOTS: Final = 16
"""Sequence ids beside the running ones that keep prefixes where cells are shared (ids cost nothing there)."""
_LEAST_IMAGE_TOKENS: Final = {"qwen2vl": 1024, "qwen3vl": 1024, "qwen3vlmoe": 1024}
"""Architectures that read small images too coarsely unless they are enlarged to this many tokens."""
_MOST_SEQUENCES: Final = 256
_MOST_THREADS: Final = 512
_UNQUANTISED: Final = frozenset({"f32", "f16", "bf16"})
_EMBED_BATCH: Final = 2048
"""Tokens that a generating model can embed at once (as many as the context has, if fewer)."""
_GGUF_MAGIC: Final = b"GGUF"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A model that is ready: to generate (``memory`` is a context) or only to embed.

    ``window`` is the positions that one sequence can have, ``turn`` what a batch waits for.
    """

    model: Model
    memory: Context | Embedder
    adapters: Sequence[Any]
    projector: Projector | None
    window: int
    info: RunnerInfo
    turn: Turn


def load(spec: LoadSpec, on_progress: Callable[[float], None]) -> Loaded:
    """Load weights and allocate a context. Raises WeightsError or LoadError with llama.cpp's reason."""
    _check(spec)
    limit_openmp(threads_of(spec))
    started = time.monotonic()
    with LOG.capture() as lines:
        model = _load_model(spec, on_progress)
        try:
            adapters = load_adapters(model, spec.adapters)
            memory = _memory(spec, model, adapters)
            projector = _projector(spec, model)
        except NativeError as error:
            model.close()
            raise LoadError(f"{spec.weights.name}: {error}") from error
    seconds = time.monotonic() - started
    context = memory.context if isinstance(memory, Embedder) else memory
    info = _info(spec, model, context, read_report(lines), seconds)
    if projector is not None:
        info = replace(info, vision=projector.vision, audio=projector.audio)
    return Loaded(
        model=model,
        memory=memory,
        adapters=adapters,
        projector=projector,
        window=window_of(spec),
        info=info,
        turn=_turn(spec),
    )


def _turn(spec: LoadSpec) -> Turn:
    """Return the turn of a split, whose other stages can compute meanwhile; a whole model need not wait for others."""
    return Turn(spec.cores if any(stage.worker for stage in spec.stages) else ())


def _projector(spec: LoadSpec, model: Model) -> Projector | None:
    if not spec.projectors:
        return None
    settings = ProjectorSettings(
        threads=threads_of(spec),
        largest_pass=spec.plan.batch,
        on_gpu=_has_gpu(spec),
        least_tokens=_LEAST_IMAGE_TOKENS.get(model.architecture, 0),
    )
    return Projector(model, spec.projectors[0], settings)


def _has_gpu(spec: LoadSpec) -> bool:
    """Tell whether this process uses a GPU of its own (one of a worker is taken by its worker's only client)."""
    if spec.stages:
        return any(stage.worker is None for stage in spec.stages)
    return spec.plan.gpu_layers != 0


def _memory(spec: LoadSpec, model: Model, adapters: Sequence[Any]) -> Context | Embedder:
    if spec.pooling:
        return make_embedder(spec, model, adapters)
    if model.has_encoder:
        raise NativeError("models with an encoder and a decoder cannot be served")
    context = Context(model, _context_settings(spec, model))
    context.apply_adapters(adapters)
    return context


def make_embedder(spec: LoadSpec, model: Model, adapters: Sequence[Any]) -> Embedder:
    """Return an embedder over ``model``. Raises NativeError."""
    longest = spec.plan.batch if spec.pooling else min(window_of(spec), max(spec.plan.batch, _EMBED_BATCH))
    with LOG.capture():
        embedder = Embedder(
            model,
            longest=longest,
            shared_pass=spec.plan.batch,
            threads=threads_of(spec),
            flash_attention=spec.flash_attention,
        )
        embedder.context.apply_adapters(adapters)
    return embedder


def window_of(spec: LoadSpec) -> int:
    """Return the positions of one sequence: the planned length, rounded up as llama.cpp does."""
    return -(-spec.plan.context_length // _PADDING) * _PADDING


def threads_of(spec: LoadSpec) -> int:
    """Return the number of engine threads; below 1 it is up to the plan."""
    wished = spec.options.num_thread if spec.options.num_thread > 0 else spec.plan.threads
    return min(_MOST_THREADS, wished or len(spec.cores) or len(os.sched_getaffinity(0)))


def layout_of(spec: LoadSpec) -> str:
    """Return what must be equal for the memory of a sequence to be understood by another runner.

    Device placement need not be: the engine moves the bytes.
    """
    attention = {None: "auto", True: "on", False: "off"}[spec.flash_attention]
    files = [spec.weights, *spec.adapters]
    names = " ".join(f"{path.name}:{path.stat().st_size}" for path in files)
    streams = 1 if spec.plan.shared_cells else spec.plan.sequences
    return f"llama.cpp {engine_version()} kv {spec.kv_type} x{streams} flash-attention {attention} {names}"


def _check(spec: LoadSpec) -> None:
    _check_file(spec)
    _check_stages(spec)
    if spec.kv_type not in KV_TYPES:
        raise LoadError(f"unknown KV cache type {spec.kv_type!r} (known: {', '.join(KV_TYPES)})")
    if spec.kv_type not in _UNQUANTISED and spec.flash_attention is False:
        raise LoadError(f"a KV cache of type {spec.kv_type} needs flash attention, which is switched off")
    if spec.plan.sequences > _MOST_SEQUENCES:
        raise LoadError(
            f"the engine runs at most {_MOST_SEQUENCES} sequences at once, {spec.plan.sequences} were asked for"
        )
    if spec.plan.batch < spec.plan.sequences:
        raise LoadError(
            f"num_batch {spec.plan.batch} is smaller than the {spec.plan.sequences} sequences that run at once"
        )


def _check_stages(spec: LoadSpec) -> None:
    """Refuse what llama.cpp does not check itself and gets wrong."""
    workers = [stage.worker.device for stage in spec.stages if stage.worker is not None]
    if spec.plan.split == "tensor" and workers:
        raise LoadError(f"a tensor split takes devices of one process, {', '.join(workers)} would need another")


def _check_file(spec: LoadSpec) -> None:
    try:
        with spec.weights.open("rb") as file:
            magic = file.read(len(_GGUF_MAGIC))
    except OSError as error:
        raise WeightsError(f"{spec.weights}: {error.strerror}") from error
    if magic != _GGUF_MAGIC:
        raise WeightsError(f"{spec.weights}: not a GGUF file")


def _load_model(spec: LoadSpec, on_progress: Callable[[float], None]) -> Model:
    try:
        return Model(spec.weights, _placement(spec), on_progress)
    except NativeError as error:
        raise LoadError(f"{spec.weights.name}: {error}") from error


def _placement(spec: LoadSpec) -> Placement:
    """Return where the weights go. Raises NativeError for a worker that cannot be used."""
    plan, stages = spec.plan, spec.stages
    if not stages:
        return Placement(
            devices=[] if plan.gpu_layers == 0 else None,
            gpu_layers=plan.gpu_layers,
            main_gpu=spec.main_gpu,
            use_mmap=spec.options.use_mmap,
        )
    return Placement(
        devices=[_engine_device(stage) for stage in stages],
        gpu_layers=plan.gpu_layers if plan.split == "tensor" else sum(stage.layers for stage in stages),
        split="tensor" if plan.split == "tensor" else "layer" if len(stages) > 1 else plan.split,
        main_gpu=spec.main_gpu,
        shares=[stage.layers for stage in stages],
        use_mmap=spec.options.use_mmap,
    )


def _engine_device(stage: Stage) -> str:
    """Return what llama.cpp calls the device of a stage in this process."""
    if stage.worker is None:
        return stage.engine_device
    (name,) = rpc.add_server(stage.worker.endpoint)
    return name


def _context_settings(spec: LoadSpec, model: Model) -> ContextSettings:
    plan = spec.plan
    sequences = plan.sequences
    window = window_of(spec)
    if plan.shared_cells and model.plain_memory:
        sequences = min(_MOST_SEQUENCES, sequences + _PREFIX_SLOTS)
    return ContextSettings(
        cells=max(plan.cells, window) if plan.shared_cells else window * sequences,
        sequences=sequences,
        batch=plan.batch,
        shared_cells=plan.shared_cells,
        kv_type=spec.kv_type,
        flash_attention=spec.flash_attention,
        threads=threads_of(spec),
    )


def _info(spec: LoadSpec, model: Model, context: Context, report: LoadReport, seconds: float) -> RunnerInfo:
    vocabulary = model.vocabulary
    names = {rpc.buffer_name(stage.worker.endpoint): stage.worker.device for stage in spec.stages if stage.worker}
    buffers = [
        BufferUse(device=names.get(device, device), weights=use.weights, kv=use.kv, compute=use.compute)
        for device, use in report.devices.items()
    ]
    return RunnerInfo(
        context_length=spec.plan.context_length,
        trained_context=model.trained_context,
        sequences=spec.plan.sequences,
        cells=context.cells,
        embedding_length=model.embedding_length,
        vocabulary_length=vocabulary.length,
        bos=vocabulary.bos,
        eos=vocabulary.eos,
        bos_text=vocabulary.bos_text,
        eos_text=vocabulary.eos_text,
        adds_bos=vocabulary.adds_bos,
        adds_eos=vocabulary.adds_eos,
        can_shift=context.can_shift,
        generates=not spec.pooling,
        buffers=buffers,
        layers_offloaded=report.layers_offloaded,
        layers_total=report.layers_total,
        load_seconds=seconds,
    )
