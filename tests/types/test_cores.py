from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollama.errors import ConfigError
from pollama.types.cores import CpuPartition, core_ranges, parse_cores, parse_partitions, parse_size


@pytest.mark.parametrize(
    ("cores", "text"), [((), ""), ((0,), "0"), ((0, 1, 2, 3, 8), "0-3,8"), ((1, 3, 5, 6), "1,3,5-6")]
)
def test_core_ranges(cores: tuple[int, ...], text: str) -> None:
    assert core_ranges(cores) == text


@given(st.sets(st.integers(0, 300), min_size=1))
def test_a_list_of_cores_is_read_as_it_is_written(cores: set[int]) -> None:
    assert parse_cores(core_ranges(sorted(cores))) == tuple(sorted(cores))


@pytest.mark.parametrize("text", ["", "a", "1-", "3-1", "1,,2", "-1", "0x1"])
def test_what_is_no_list_of_cores_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="cores"):
        parse_cores(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("7", 7), ("2GiB", 2 << 30), ("1.5 GB", 1_500_000_000), ("512 MiB", 512 << 20), ("1TB", 10**12), ("3B", 3)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GiB", "2 gigs", "-1GiB", "2iB", "1e3"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="size"):
        parse_size(text)


def test_partitions() -> None:
    assert parse_partitions([{"cores": "0-1", "memory": "2GiB"}, {"cores": 2}]) == (
        CpuPartition(cores=(0, 1), memory_bytes=2 << 30),
        CpuPartition(cores=(2,)),
    )


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([{"cores": "0"}, {"cores": "0-1"}], r"\[1\]\.cores: core 0 belongs to \[0\] already"),
        ([{"cores": "x"}], r"\[0\]\.cores must be a list of cores such as 0-3,8, not 'x'"),
        ([{"memory": "1GiB"}], r"\[0\]\.cores must be a list of cores such as 0-3,8, not None"),
        ([{"cores": True}], r"\[0\]\.cores must be a list of cores such as 0-3,8, not True"),
        ([{"cores": "0", "memory": "much"}], r"\[0\]\.memory must be a size such as 2GiB, not 'much'"),
        ([{"cores": "0", "memory": 0}], r"\[0\]\.memory must be a size such as 2GiB, not 0"),
        ([{"cores": "0", "memory": [1]}], r"\[0\]\.memory must be a size such as 2GiB, not \[1\]"),
        ([{"cores": "0", "threads": 1}], r"\[0\]: unknown key 'threads'"),
        (["0"], r"\[0\] must be a mapping with cores and memory, not '0'"),
    ],
)
def test_wrong_partitions_are_refused_by_their_place(items: list[object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_partitions(items)
