"""pollama answers as a real Ollama did, but for the differences that docs/compatibility.md lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.kit import Kit

DOCUMENT = Path(__file__).parents[2] / "docs" / "compatibility.md"
PROFILES = ("default", "queue", "origins", "any-origin", "jinja", "limits")


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    return Kit(tmp_path_factory.mktemp("conformance"))


@pytest.fixture(scope="module")
def listed_differences() -> frozenset[str]:
    """The cases named in the table of differences, as `` | `group/case` | ``."""
    rows = [line.split("|") for line in DOCUMENT.read_text().splitlines() if line.startswith("| `")]
    return frozenset(name for row in rows for name in row[1].replace("`", " ").replace(",", " ").split())


def test_every_profile_of_the_kit_is_run(kit: Kit) -> None:
    assert set(kit.profiles) == set(PROFILES)


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("profile", PROFILES)
def test_profile(kit: Kit, profile: str, listed_differences: frozenset[str]) -> None:
    cases = kit.check(profile)
    assert cases
    failed = {case.name: case.difference for case in cases if not case.passed and case.name not in listed_differences}
    assert failed == {}
    fixed = [case.name for case in cases if case.passed and case.name in listed_differences]
    assert fixed == [], "no longer different: take these out of docs/compatibility.md"
