"""The layers of docs/architecture.md: which module may import which."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "pollama"

PURE = {"types", "errors", "clock", "logs"}
LEAVES = PURE | {"config"}
SIBLINGS = {"models", "prompts", "scheduler", "runners", "discover", "cluster"}
COMPOSITION = {"start", "server", "background", "cli", "__main__"}

ALLOWED: dict[str, set[str]] = {
    **dict.fromkeys(PURE, PURE),
    "config": PURE,
    "native": LEAVES,
    "demo": set(),
    **dict.fromkeys(SIBLINGS, LEAVES),
    "inference": LEAVES | {"prompts"},
    "api": LEAVES | {"inference"},
}

NATIVE_USERS = ("pollama.native", "pollama.runners.llamacpp", "pollama.runners.rpc", "pollama.discover.probe")
"""Modules that run in child processes only, where llama.cpp may be loaded."""


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Yield the dotted name and the syntax tree of every module of pollama."""
    for path in sorted(ROOT.rglob("*.py")):
        parts = ("pollama", *path.relative_to(ROOT).with_suffix("").parts)
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        yield name, ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports(tree: ast.Module) -> Iterator[str]:
    """Yield the dotted names that a module imports, at its top or inside a function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer(module: str) -> str:
    """Return the first component below ``pollama``; "" for the package itself."""
    return module.split(".")[1] if "." in module else ""


def within(module: str, packages: tuple[str, ...]) -> bool:
    """Tell whether ``module`` is one of ``packages`` or lies in one."""
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def objection(module: str, imported: str) -> str:
    """Return why ``module`` may not import ``imported``; "" when it may."""
    package = imported.split(".", maxsplit=1)[0]
    if package == "pollama":
        return internal_objection(module, imported)
    if package == "llama_cpp" and layer(module) != "native":
        return "llama_cpp is native's alone"
    if package == "aiohttp" and layer(module) == "inference":
        return "inference knows no HTTP"
    if layer(module) in PURE | {""} and package not in sys.stdlib_module_names:
        return "a leaf needs the standard library only"
    return ""


def internal_objection(module: str, imported: str) -> str:
    source, target = layer(module), layer(imported)
    if target == "native" and not within(module, NATIVE_USERS):
        return "native is for child processes"
    known = target in ALLOWED or target in COMPOSITION
    if not known or target in {source, "native"} or source in COMPOSITION or target in ALLOWED.get(source, ()):
        return ""
    return f"{source or 'the package'} may not import {target}"


def test_every_import_goes_along_the_layers() -> None:
    wrong = [
        f"{module} imports {imported}: {reason}"
        for module, tree in modules()
        for imported in imports(tree)
        if (reason := objection(module, imported))
    ]
    assert wrong == []


def test_every_module_belongs_to_a_layer() -> None:
    known = ALLOWED.keys() | COMPOSITION | {""}
    assert [module for module, _ in modules() if layer(module) not in known] == []


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("pollama.scheduler.core", "pollama.runners.client"),
        ("pollama.models.store", "pollama.prompts.inspect"),
        ("pollama.models.store", "pollama.inference"),
        ("pollama.types.names", "pollama.config"),
        ("pollama.types.names", "msgspec"),
        ("pollama.config", "pollama.models.store"),
        ("pollama.api.app", "pollama.scheduler.scheduler"),
        ("pollama.api.app", "pollama.server"),
        ("pollama.inference", "pollama.runners.client"),
        ("pollama.inference", "aiohttp"),
        ("pollama.discover.devices", "pollama.native.devices"),
        ("pollama.runners.process", "pollama.native.engine"),
        ("pollama.runners.llamacpp.engine", "llama_cpp"),
        ("pollama.native.engine", "pollama.models.gguf"),
        ("pollama.server", "llama_cpp"),
    ],
)
def test_an_edge_outside_the_table_is_found(module: str, imported: str) -> None:
    assert objection(module, imported)


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("pollama.scheduler.core", "pollama.scheduler.queue"),
        ("pollama.scheduler.core", "pollama.types.plans"),
        ("pollama.models.store", "pollama.config"),
        ("pollama.models.store", "pollama.__version__"),
        ("pollama.inference", "pollama.prompts.render"),
        ("pollama.runners.llamacpp.engine", "pollama.native.context"),
        ("pollama.native.context", "llama_cpp.llama_cpp"),
        ("pollama.server", "pollama.scheduler.scheduler"),
        ("pollama.cli.serve", "pollama.start"),
    ],
)
def test_an_edge_of_the_table_is_allowed(module: str, imported: str) -> None:
    assert objection(module, imported) == ""


def reads_environment(tree: ast.Module) -> bool:
    """Tell whether a module mentions ``os.environ`` or ``os.getenv``."""
    names = {"environ", "getenv", "environb"}
    return any(
        (isinstance(node, ast.Attribute) and node.attr in names and ast.unparse(node.value) == "os")
        or (isinstance(node, ast.ImportFrom) and node.module == "os" and names & {alias.name for alias in node.names})
        for node in ast.walk(tree)
    )


def test_the_environment_is_read_in_config_only() -> None:
    readers = [module for module, tree in modules() if reads_environment(tree)]
    assert set(readers) <= {"pollama.config"}


@pytest.mark.parametrize("source", ["import os\nos.environ['A']", "from os import getenv", "import os\nos.getenv('A')"])
def test_reading_the_environment_is_seen(source: str) -> None:
    assert reads_environment(ast.parse(source))
