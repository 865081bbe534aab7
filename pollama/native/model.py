"""Loading a model's weights."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pollama.native.binding import llama
from pollama.native.devices import device_array
from pollama.native.errors import NativeError
from pollama.native.library import LOG, initialise
from pollama.native.vocabulary import Vocabulary

Split = Literal["none", "layer", "tensor"]
_SPLITS: dict[Split, int] = {
    "none": llama.LLAMA_SPLIT_MODE_NONE,
    "layer": llama.LLAMA_SPLIT_MODE_LAYER,
    "tensor": llama.LLAMA_SPLIT_MODE_TENSOR,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where the weights go. ``devices`` None = llama.cpp's choice; ``shares`` are the layers of each device in turn."""

    devices: Sequence[str] | None = None
    gpu_layers: int = -1
    split: Split = "layer"
    main_gpu: int | None = None
    shares: Sequence[float] = ()
    use_mmap: bool | None = None


class Model:
    """Weights in memory. Free with ``close``; contexts made from it must be closed first."""

    def __init__(self, path: Path, placement: Placement, on_progress: Callable[[float], None]) -> None:
        """Load ``path``; ``on_progress`` gets the share that is loaded. Raises NativeError with llama.cpp's reason."""
        initialise()
        parameters, keep_alive = _parameters(placement, on_progress)
        self._keep_alive = keep_alive
        self.pointer: Any = llama.llama_model_load_from_file(os.fsencode(path), parameters)
        if not self.pointer:
            raise NativeError(LOG.error_text() or f"the engine could not load {path}")
        self.vocabulary = Vocabulary(self.pointer)
        self.architecture = self.metadata("general.architecture") or ""
        self.embedding_length = int(llama.llama_model_n_embd(self.pointer))
        self.embedding_output = int(llama.llama_model_n_embd_out(self.pointer))
        self.layers = int(llama.llama_model_n_layer(self.pointer))
        self.class_count = int(llama.llama_model_n_cls_out(self.pointer))
        self.trained_context = int(llama.llama_model_n_ctx_train(self.pointer))
        self.window = int(llama.llama_model_n_swa(self.pointer))
        self.recurrent = bool(llama.llama_model_is_recurrent(self.pointer))
        self.hybrid = bool(llama.llama_model_is_hybrid(self.pointer))
        self.has_decoder = bool(llama.llama_model_has_decoder(self.pointer))
        self.has_encoder = bool(llama.llama_model_has_encoder(self.pointer))

    @property
    def plain_memory(self) -> bool:
        """Tell whether every layer keeps an ordinary KV cache."""
        return not (self.recurrent or self.hybrid or self.window)

    def metadata(self, key: str) -> str | None:
        """Return a GGUF value as text, or None."""
        buffer = ctypes.create_string_buffer(1024)
        length = llama.llama_model_meta_val_str(self.pointer, key.encode(), buffer, len(buffer))
        return None if length < 0 else buffer.value.decode("utf-8", "replace")

    def close(self) -> None:
        """Free the weights; safe to call twice."""
        if self.pointer:
            llama.llama_model_free(self.pointer)
            self.pointer = None


def _parameters(placement: Placement, on_progress: Callable[[float], None]) -> tuple[Any, list[Any]]:
    """Return the C parameters and what must outlive them."""
    parameters = llama.llama_model_default_params()

    def report(share: float, _data: Any) -> bool:
        on_progress(share)
        return True

    parameters.progress_callback = llama.llama_progress_callback(report)
    parameters.n_gpu_layers = placement.gpu_layers
    parameters.split_mode = _SPLITS[placement.split]
    keep_alive: list[Any] = [parameters.progress_callback]
    if placement.use_mmap is False:
        parameters.load_mode = llama.LLAMA_LOAD_MODE_NONE
    if placement.main_gpu is not None:
        parameters.main_gpu = placement.main_gpu
    if placement.devices is not None:
        devices = device_array(placement.devices)
        parameters.devices = ctypes.cast(devices, ctypes.c_void_p)
        keep_alive.append(devices)
    if len(placement.shares) > 1:
        shares = (ctypes.c_float * llama.llama_max_devices())(*placement.shares)
        parameters.tensor_split = shares
        keep_alive.append(shares)
    return parameters, keep_alive
