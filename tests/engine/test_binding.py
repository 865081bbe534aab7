"""The binding is imported without the package's high-level half, and does not stand in that one's way."""

from __future__ import annotations

import subprocess
import sys

import pytest

ALONE = """
import sys
from pollama.native import binding, media
assert "llama_cpp" not in sys.modules and "jinja2" not in sys.modules, sorted(sys.modules)
"""
THEN_ALL = """
import llama_cpp
assert llama_cpp.Llama and llama_cpp.llama_decode is binding.llama.llama_decode
"""
AFTER_ALL = """
import llama_cpp
from pollama.native import binding, media
assert llama_cpp.llama_cpp is binding.llama
"""


@pytest.mark.parametrize("program", [ALONE + THEN_ALL, AFTER_ALL], ids=["before the package", "after the package"])
def test_the_low_level_half_alone(program: str) -> None:
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
