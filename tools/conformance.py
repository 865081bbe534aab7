"""Measure pollama against the conformance kit and write the table of docs/compatibility.md.

    python tools/conformance.py [--write] [--details] [--group NAME ...] [--profile NAME ...]

The kit is the one that the tests use (``tests/contract/kit.py``). Exit status: 0 when every case passed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.contract.kit import Case, Kit  # noqa: E402

DOCUMENT: Final = ROOT / "docs/compatibility.md"
BEGIN: Final = "<!-- conformance: begin -->"
END: Final = "<!-- conformance: end -->"


def main() -> int:
    """Run the profiles that were asked for and report."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="pollama-conformance-") as folder:
        kit = Kit(Path(folder))
        cases = [case for profile in arguments.profile or kit.profiles for case in kit.check(profile, arguments.group)]
    table = _table(cases)
    print(table)
    failed = [case for case in cases if not case.passed]
    if arguments.details:
        print(*(f"{case.name}: {case.difference}" for case in failed), sep="\n")
    if arguments.write:
        _replace_table(table)
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the table into docs/compatibility.md")
    parser.add_argument("--details", action="store_true", help="print the first difference of each failing case")
    parser.add_argument("--group", action="append", default=[], help="only this group of cases")
    parser.add_argument("--profile", action="append", default=[], help="only this profile")
    return parser.parse_args()


def _table(cases: Sequence[Case]) -> str:
    total = Counter(case.group for case in cases)
    passed = Counter(case.group for case in cases if case.passed)
    rows = [f"| {group} | {passed[group]} | {total[group]} |" for group in sorted(total)]
    last = f"| **all** | **{passed.total()}** | **{total.total()}** |"
    return "\n".join(["| group | passed | total |", "| --- | --- | --- |", *rows, last])


def _replace_table(table: str) -> None:
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}")


if __name__ == "__main__":
    sys.exit(main())
