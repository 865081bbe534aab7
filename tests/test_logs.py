from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator

import pytest

from pollama import logs


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("pollama")
    before = (root.handlers[:], root.level, ours.level)
    yield
    root.handlers[:], level, our_level = before
    root.setLevel(level)
    ours.setLevel(our_level)


def _logged(level: int) -> list[str]:
    stream = io.StringIO()
    logs.configure(level, stream)
    logger = logging.getLogger("pollama.test")
    logger.log(logs.TRACE, "trace")
    logger.debug("debug")
    logger.info("info")
    logger.warning("warn")
    logger.error("error")
    return [re.findall(r"level=(\w+)", line)[0] for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        (0, ["INFO", "WARN", "ERROR"]),
        (-4, ["DEBUG", "INFO", "WARN", "ERROR"]),
        (-8, ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"]),
        (-16, ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"]),
        (4, ["WARN", "ERROR"]),
        (8, ["ERROR"]),
    ],
)
def test_levels_of_ollamas_scale(level: int, shown: list[str]) -> None:
    assert _logged(level) == shown


def test_one_line_per_event() -> None:
    stream = io.StringIO()
    logs.configure(0, stream)
    try:
        raise ValueError("a\nb")
    except ValueError:
        logging.getLogger("pollama.test").exception('said "%s"', "x\ny")
    (line,) = stream.getvalue().splitlines()
    assert re.match(
        r'time=\d{4}-\d\d-\d\dT\S+ level=ERROR source=pollama\.test:\d+ msg="said \\"x\\ny\\"\\nTrace', line
    )


def test_other_libraries_only_warn() -> None:
    stream = io.StringIO()
    logs.configure(-8, stream)
    logging.getLogger("aiohttp").info("quiet")
    logging.getLogger("aiohttp").warning("loud")
    assert "quiet" not in stream.getvalue()
    assert "loud" in stream.getvalue()
