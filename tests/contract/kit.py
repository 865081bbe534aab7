"""The conformance kit: recorded answers of a real Ollama, and the tool that compares a server with them.

The kit is committed as ``data/conformance.tar.xz`` (its README is inside); ``POLLAMA_CONFORMANCE`` names another copy,
unpacked, with more cases or other recordings.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.conftest import MODELS
from tests.e2e.server import running_server

PACKED: Final = Path(__file__).parent / "data" / "conformance.tar.xz"


@dataclass(frozen=True, slots=True)
class Case:
    """The outcome of one case; ``difference`` is the first one found, "" when there is none."""

    group: str
    name: str
    difference: str

    @property
    def passed(self) -> bool:
        """Whether the answers are those that were recorded."""
        return not self.difference


class Kit:
    """A copy of the kit in a scratch folder, together with the store of the servers that are checked."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kit = folder / "kit"
        given = os.environ.get("POLLAMA_CONFORMANCE")
        if given:
            shutil.copytree(given, self._kit)
        else:
            with tarfile.open(PACKED) as archive:
                archive.extractall(self._kit, filter="data")
            shutil.copytree(MODELS, self._kit / "models")

    @property
    def profiles(self) -> dict[str, dict[str, str]]:
        """The environments that cases ask for, by name."""
        profiles: dict[str, dict[str, str]] = json.loads((self._kit / "profiles.json").read_text())
        return profiles

    def check(self, profile: str, groups: Sequence[str] = ()) -> list[Case]:
        """Start a server with a profile's environment and return the outcome of its cases (all groups, or these)."""
        report = self._folder / f"{profile}.json"
        chosen = [word for group in groups for word in ("--group", group)]
        with running_server(self._folder, LLAMA_ARG_THREADS="1", **self.profiles[profile]) as server:
            setup = self._run("setup", "--base", server.url)
            assert setup.returncode == 0, setup.stdout + server.log.read_text()
            self._run("check", "--base", server.url, "--profile", profile, *chosen, "--json", str(report), "public")
        cases = json.loads(report.read_text())["cases"]
        return [Case(case["group"], case["case"], str(case["difference"] or "")) for case in cases]

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "conform.py", *arguments]
        return subprocess.run(
            command, cwd=self._kit, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
