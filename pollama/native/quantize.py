"""Quantises one GGUF file: ``python -m pollama.native.quantize SOURCE TARGET TYPE [PATTERN=TYPE ...]``.

A process of its own, because llama.cpp ends the process on what it takes for a defect, and because the work can only be
stopped by ending it. Standard output has one JSON object per line: ``{"completed": n, "total": n}`` counts tensors, and
``{"error": text}`` is the last line when it failed. The process ends when its standard input does.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any, Final, TextIO

from gguf.constants import GGMLQuantizationType, LlamaFileType

from pollama.native.binding import llama
from pollama.native.library import LOG, initialise

_TENSOR: Final = re.compile(r"\[\s*(\d+)/\s*(\d+)\]")
_INTERVAL: Final = 0.25
"""Seconds between two reports."""


class _Reporter(logging.Handler):
    """Turns llama.cpp's line about each tensor into a report."""

    def __init__(self, output: TextIO) -> None:
        super().__init__()
        self._output = output
        self._last = time.monotonic()

    def emit(self, record: logging.LogRecord) -> None:
        match = _TENSOR.search(record.getMessage())
        if match is not None and time.monotonic() - self._last >= _INTERVAL:
            self._last = time.monotonic()
            report(self._output, {"completed": int(match[1]), "total": int(match[2])})


def report(output: TextIO, record: dict[str, Any]) -> None:
    """Write one line."""
    print(json.dumps(record), file=output, flush=True)


def quantize(source: str, target: str, file_type: str, kept: Sequence[str]) -> str:
    """Write ``source`` as ``file_type`` (``Q4_K_M``) to ``target``; return "" or why it failed.

    ``kept`` are tensors, as ``pattern=type``, that get another type.
    """
    parameters = llama.llama_model_quantize_default_params()
    parameters.ftype = _file_type(file_type)
    parameters.nthread = len(os.sched_getaffinity(0))
    parameters.allow_requantize = True
    overrides = _overrides(kept)
    parameters.tt_overrides = overrides
    with LOG.capture():
        failed = llama.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(parameters))
        return LOG.error_text() or f"llama.cpp answers {failed}" if failed else ""


def _file_type(name: str) -> int:
    return int(LlamaFileType["ALL_F32" if name == "F32" else f"MOSTLY_{name}"])


def _overrides(kept: Sequence[str]) -> Any:
    """Return the C array of tensor types, which an empty pattern ends."""
    array = (llama.llama_model_tensor_override * (len(kept) + 1))()
    for entry, text in zip(array, kept, strict=False):
        pattern, _, kind = text.rpartition("=")
        entry.pattern, entry.type = pattern.encode(), GGMLQuantizationType[kind.upper()].value
    return array


def _end_with_parent() -> None:
    while os.read(0, 1):  # not sys.stdin: its lock would be held when the interpreter ends
        pass
    os._exit(1)


def main(arguments: Sequence[str]) -> int:
    """Quantise as the arguments say; what the libraries print goes to standard error."""
    output = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    source, target, file_type, *kept = arguments
    threading.Thread(target=_end_with_parent, daemon=True).start()
    engine_log = logging.getLogger("pollama.native.library")
    engine_log.setLevel(logging.DEBUG)
    engine_log.addHandler(_Reporter(output))
    initialise()
    error = quantize(source, target, file_type, kept)
    if error:
        report(output, {"error": error})
    return 1 if error else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
