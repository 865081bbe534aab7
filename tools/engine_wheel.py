"""Print the path of a wheel of llama-cpp-python built with the given CMake flags, building it when it is not cached.

The source is the one that ``requirements/runtime.txt`` pins by hash. A wheel is kept under
``$XDG_CACHE_HOME/pollama/wheels`` per version, Python, processor and flags: the build takes minutes, and it is tuned to
the processor it runs on. The cache only saves time; without it, or when it cannot be written, the wheel is built anew.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

LOCK = Path(__file__).parent.parent / "requirements" / "runtime.txt"
PACKAGE = "llama-cpp-python"


def pinned_requirement() -> str:
    """Return the lock file's entry of the engine: version and hashes."""
    match = re.search(rf"^{PACKAGE}==.*?[^\\]$", LOCK.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    if match is None:
        sys.exit(f"{LOCK}: no entry for {PACKAGE}")
    return match.group()


def processor() -> str:
    """Return what tells this processor's instruction sets from another's."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.machine())


def cache_folder(kind: str, requirement: str, flags: Sequence[str]) -> Path:
    """Return the folder of the one build of a kind ("wheels", ...) that fits this machine and these flags."""
    facts = "\n".join([requirement, sys.version, sysconfig.get_platform(), processor(), *flags])
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "pollama" / kind / hashlib.sha256(facts.encode()).hexdigest()[:16]


def build(requirement: str, flags: Sequence[str], folder: Path) -> Path:
    """Build the wheel into ``folder``."""
    announce(requirement, flags)
    environment = {"CMAKE_ARGS": " ".join(flags)}
    from_source("wheel", requirement, folder, "--no-cache-dir", "-w", str(folder), environment=environment)
    return next(folder.glob("*.whl"))


def announce(what: str, flags: Sequence[str]) -> None:
    """Say on standard error what is being built."""
    name = what.split(maxsplit=1)[0]
    print(f"Building {name} with {' '.join(flags)}: this takes some minutes, once.", file=sys.stderr)


def from_source(
    verb: str, requirement: str, folder: Path, *arguments: str, environment: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Let pip ("wheel", "download") have the pinned source, with the build tools of the running virtual environment."""
    lock = folder / "engine.txt"
    lock.write_text(f"{requirement}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", verb, "--require-hashes", "--no-deps"]
    command += ["--no-binary", PACKAGE, "--no-build-isolation", "-r", str(lock), *arguments]
    full = {**os.environ, **tools_first(), **environment}
    subprocess.run(command, check=True, env=full, stdin=subprocess.DEVNULL, stdout=sys.stderr)


def tools_first() -> dict[str, str]:
    """Return the PATH on which the virtual environment's own tools come first."""
    return {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}


def keep(wheel: Path, folder: Path) -> Path:
    """Move a fresh wheel into the cache in one step, so that no reader ever sees half of it."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as staging:
        copy = shutil.copy2(wheel, staging)
        return Path(copy).replace(folder / wheel.name)


def main(flags: Sequence[str]) -> None:
    """Print the wheel's path."""
    requirement = pinned_requirement()
    cache = cache_folder("wheels", requirement, flags)
    cached = next(cache.glob("*.whl"), None)
    if cached is None:
        fresh = build(requirement, flags, Path(tempfile.mkdtemp(prefix="pollama-engine-")))
        try:
            cached = keep(fresh, cache)
            shutil.rmtree(fresh.parent)
        except OSError as error:
            print(f"The wheel is not kept for the next time: {error}", file=sys.stderr)
            cached = fresh
    print(cached)


if __name__ == "__main__":
    main(sys.argv[1:])
