"""The documentation is held to the code: what it shows runs, what exists is described."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web

from pollama.api.app import create_app
from pollama.api.services import Services
from pollama.cli.main import COMMANDS
from pollama.config import SETTINGS
from tests.api.fakes import FakeInference, FakeLibrary, FakeScheduler, FakeSettings, FakeSteering
from tests.e2e.server import Server, running_server

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
_SNIPPET = re.compile(r"<!-- run -->\n```(sh|python)\n(.*?)```", re.DOTALL)
_LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)[^)]*\)")


@dataclass(frozen=True, slots=True)
class Snippet:
    """A piece of a page that is marked as runnable."""

    page: str
    language: str
    code: str


def snippets() -> Iterator[Snippet]:
    for page in PAGES:
        for language, code in _SNIPPET.findall(page.read_text(encoding="utf-8")):
            yield Snippet(page.name, language, code)


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("docs")) as running:
        running.json("POST", "/api/pull", {"model": "demo", "stream": False})
        yield running


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A folder with ``pollama`` in it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    command = folder / "pollama"
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m pollama "$@"\n')
    command.chmod(0o755)
    return folder


@pytest.mark.parametrize("snippet", list(snippets()), ids=lambda snippet: f"{snippet.page}-{snippet.language}")
def test_a_snippet_runs(snippet: Snippet, server: Server, program: Path, tmp_path: Path) -> None:
    command = {"sh": ["sh", "-eu"], "python": [sys.executable, "-"]}[snippet.language]
    environment = {
        "HOME": str(tmp_path),
        "PATH": f"{program}:/usr/bin:/bin",
        "OLLAMA_HOST": server.url.removeprefix("http://"),
    }
    result = subprocess.run(
        command,
        input=snippet.code,
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip()


def test_snippets_are_found() -> None:
    assert {"README.md", "cli.md"} <= {snippet.page for snippet in snippets()}


def test_generated_pages_are_up_to_date() -> None:
    result = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "write_docs.py"), "--check"],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (0, ""), result.stderr


def test_every_command_is_described() -> None:
    page = text("docs/cli.md")
    assert [entry.name for entry in COMMANDS if f"\n### {entry.name}\n" not in page] == []


def test_every_setting_is_described() -> None:
    page = text("docs/configuration.md")
    variables = [variable for setting in SETTINGS for variable in setting.variables]
    assert [variable for variable in variables if f"`{variable}`" not in page] == []


def application() -> web.Application:
    """Return the server's application, with fakes behind it."""
    services = Services(
        inference=FakeInference(),
        library=FakeLibrary(),
        scheduler=FakeScheduler(),
        steering=FakeSteering(),
        settings=FakeSettings(),
        version="0",
        listen_host="127.0.0.1",
        origins=(),
    )
    return create_app(services)


def routes() -> set[str]:
    """Return ``METHOD /path`` of every route of the server."""
    resources = ((route.method, route.resource) for route in application().router.routes())
    return {f"{method} {resource.canonical}" for method, resource in resources if resource is not None}


def test_every_route_is_described() -> None:
    page = text("docs/compatibility.md")
    assert [route for route in sorted(routes()) if f"`{route}`" not in page] == []


def requirements() -> list[str]:
    """Return the names of the packages that pollama needs."""
    project = tomllib.loads(text("pyproject.toml"))["project"]
    return [re.split(r"[<>=;\[ ]", line)[0] for line in project["dependencies"]]


def imported() -> set[str]:
    """Return the top-level modules that pollama imports, those that it finds by their name included."""
    nodes = (node for path in (ROOT / "pollama").rglob("*.py") for node in ast.walk(ast.parse(path.read_bytes())))
    return {name.split(".")[0] for node in nodes for name in named_modules(node)}


def named_modules(node: ast.AST) -> list[str]:
    """Return the modules that an import, or a call of ``find_spec``, names."""
    match node:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module=str(module)):
            return [module]
        case ast.Call(func=ast.Name(id="find_spec") | ast.Attribute(attr="find_spec"), args=[ast.Constant(str(name))]):
            return [name]
    return []


@pytest.mark.parametrize("package", requirements())
def test_every_dependency_is_described_and_used(package: str) -> None:
    providers = importlib.metadata.packages_distributions()
    used = {_normal(name) for module in imported() for name in providers.get(module, ())}
    assert f"| {package} " in text("docs/dependencies.md")
    assert _normal(package) in used


def _normal(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = _LINK.findall(page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_page_can_be_reached_from_the_first() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached and page.suffix == ".md":
            reached.add(page)
            waiting += [(page.parent / target).resolve() for target in _LINK.findall(page.read_text(encoding="utf-8"))]
    assert set(PAGES) <= reached
