"""Print the path of llama.cpp's own ``llama-server``, built with the given CMake flags from the sources of the engine.

The sources are those inside the llama-cpp-python release that ``requirements/runtime.txt`` pins by hash, built as that
package builds them (shared libraries, Release), so that the benchmarks compare two servers over the same kernels. The
program and its libraries are kept under ``$XDG_CACHE_HOME/pollama/llama-server``, as ``tools/engine_wheel.py`` keeps
the wheel.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tools.engine_wheel import announce, cache_folder, from_source, pinned_requirement, tools_first

PROGRAM = "llama-server"
ENGINE_FLAGS = ("-DGGML_RPC=on",)
FLAGS = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DBUILD_SHARED_LIBS=ON",
    "-DCMAKE_BUILD_RPATH_USE_ORIGIN=ON",
    "-DLLAMA_CURL=OFF",
    "-DLLAMA_OPENSSL=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_APP=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",
)


def sources(folder: Path) -> Path:
    """Unpack the pinned release into ``folder`` and return llama.cpp's tree in it."""
    from_source("download", pinned_requirement(), folder, "-d", str(folder))
    with tarfile.open(next(folder.glob("*.tar.gz"))) as release:
        release.extractall(folder, filter="data")
    return next(folder.glob("*/vendor/llama.cpp"))


def build(flags: Sequence[str], folder: Path) -> Path:
    """Compile the server below ``folder`` and return the folder with the program and its libraries."""
    announce(PROGRAM, flags)
    tree, output = sources(folder), folder / "build"
    environment = os.environ | tools_first()
    configure = ["cmake", "-G", "Ninja", "-S", str(tree), "-B", str(output), *FLAGS, *flags]
    compile_ = ["cmake", "--build", str(output), "--target", PROGRAM]
    for command in (configure, compile_):
        subprocess.run(command, check=True, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr)
    return output / "bin"


def keep(built: Path, folder: Path) -> None:
    """Move program and libraries into the cache in one step."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as staging:
        copy = shutil.copytree(built, Path(staging) / folder.name, symlinks=True)
        copy.rename(folder)


def llama_server(flags: Sequence[str]) -> Path:
    """Return the cached program, building it first where it is missing."""
    cache = cache_folder(PROGRAM, pinned_requirement(), flags)
    if not (cache / PROGRAM).exists():
        with tempfile.TemporaryDirectory(prefix="pollama-llama-server-") as folder:
            keep(build(flags, Path(folder)), cache)
    return cache / PROGRAM


if __name__ == "__main__":
    print(llama_server(sys.argv[1:] or ENGINE_FLAGS))
