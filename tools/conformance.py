"""Measure pollama against the conformance kit and write the table of docs/compatibility.md.

The kit (recorded answers of a real Ollama, probe models and ``conform.py``) lies in a folder of its own. One server is
started per profile of the kit, all on one store, and the kit's tool is run against it::

    python tools/conformance.py KIT [--write] [--group NAME ...] [--profile NAME ...] [--details]

Exit status: 0 when every case passed, 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.e2e.server import Server, running_server  # noqa: E402

DOCUMENT: Final = ROOT / "docs/compatibility.md"
BEGIN: Final = "<!-- conformance: begin -->"
END: Final = "<!-- conformance: end -->"


def main() -> int:
    """Run the profiles that were asked for and report."""
    arguments = _arguments()
    profiles = json.loads((arguments.kit / "profiles.json").read_text())
    chosen = arguments.profile or list(profiles)
    cases: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="pollama-conformance-") as folder:
        for profile in chosen:
            cases += _run_profile(arguments, profile, profiles[profile], Path(folder))
    table = _table(cases)
    print(table)
    if arguments.details:
        print(*(f"{case['case']}: {case.get('difference')}" for case in cases if not case["passed"]), sep="\n")
    if arguments.write:
        _replace_table(table)
    return 0 if all(case["passed"] for case in cases) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kit", type=Path, help="folder of the conformance kit")
    parser.add_argument("--write", action="store_true", help="put the table into docs/compatibility.md")
    parser.add_argument("--group", action="append", default=[], help="only this group of cases")
    parser.add_argument("--profile", action="append", default=[], help="only this profile")
    parser.add_argument("--details", action="store_true", help="print the first difference of each failing case")
    return parser.parse_args()


def _run_profile(
    arguments: argparse.Namespace, profile: str, environment: dict[str, str], folder: Path
) -> list[dict[str, Any]]:
    report = folder / f"{profile}.json"
    with running_server(folder, LLAMA_ARG_THREADS="1", **environment) as server:
        _kit(arguments.kit, "setup", server)
        groups = [word for group in arguments.group for word in ("--group", group)]
        _kit(arguments.kit, "check", server, "--profile", profile, *groups, "--json", str(report), "public", quiet=True)
    cases: list[dict[str, Any]] = json.loads(report.read_text())["cases"]
    return cases


def _kit(kit: Path, command: str, server: Server, *rest: str, quiet: bool = False) -> None:
    done = subprocess.run(
        [sys.executable, "conform.py", command, "--base", server.url, *rest],
        cwd=kit,
        check=False,
        stdout=subprocess.DEVNULL if quiet else None,
    )
    if done.returncode and not quiet:
        raise SystemExit(f"conform.py {command} failed; the server said:\n{server.log.read_text()}")


def _table(cases: Iterable[dict[str, Any]]) -> str:
    passed: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for case in cases:
        total[case["group"]] += 1
        passed[case["group"]] += bool(case["passed"])
    rows = [f"| {group} | {passed[group]} | {total[group]} |" for group in sorted(total)]
    last = f"| **all** | **{passed.total()}** | **{total.total()}** |"
    return "\n".join(["| group | passed | total |", "| --- | --- | --- |", *rows, last])


def _replace_table(table: str) -> None:
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}")


if __name__ == "__main__":
    sys.exit(main())
