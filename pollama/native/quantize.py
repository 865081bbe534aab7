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
import time
from collections.abc import Sequence
from typing import Any, Final, TextIO

from gguf.constants import GGMLQuantizationType, LlamaFileType

from pollama.native.binding import llama
from pollama.native.child import end_with_parent, result_stream
from pollama.native.library import LOG, initialise, logger

_TENSOR: Final = re.compile(r"\[\s*(\d+)/\s*(\d+)\]")
_INTERVAL: Final = 0.1
"""Seconds between two reports."""


class _Reporter(logging.Handler):
    """Turns llama.cpp's lines about tensors into reports, one in each interval: of what is quicker there is none."""

    def __init__(self, output: TextIO) -> None:
        super().__init__()
        self._output = output
        self._due = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        match = _TENSOR.search(record.getMessage())
        if match is None:
            return
        now = time.monotonic()
        self._due = self._due or now + _INTERVAL
        if now >= self._due:
            self._due = now + _INTERVAL
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


def main(arguments: Sequence[str]) -> int:
    """Quantise as the arguments say; what the libraries print goes to standard error."""
    source, target, file_type, *kept = arguments
    end_with_parent()
    with result_stream() as output:
        logger.setLevel(logging.DEBUG)
        logger.addHandler(_Reporter(output))
        initialise()
        error = quantize(source, target, file_type, kept)
        if error:
            report(output, {"error": error})
    return 1 if error else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
