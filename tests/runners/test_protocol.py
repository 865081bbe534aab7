from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollama.errors import GenerationError
from pollama.runners.protocol import decode_frame, decode_spec, encode_frame, encode_spec
from pollama.types.generation import Delta, Finished, Logprob
from pollama.types.options import Options
from pollama.types.plans import LoadSpec, Plan, Share

_numbers = st.floats(max_value=0, allow_nan=False, allow_infinity=False)
_logprobs = st.builds(Logprob, token=st.text(), logprob=_numbers, data=st.binary())
_deltas = st.builds(Delta, text=st.text(), tokens=st.lists(st.integers(0, 2**31)), logprobs=st.lists(_logprobs))
_finished = st.builds(Finished, reason=st.sampled_from(["stop", "length", "aborted"]), stopped_by=st.text())


@given(st.one_of(_deltas, _finished))
def test_frames_are_one_line_and_come_back(item: Delta | Finished) -> None:
    line = encode_frame(7, item)
    assert line.count(b"\n") == 1
    assert decode_frame(line) == (7, item)


def test_an_error_of_another_kind_keeps_its_text() -> None:
    _, error = decode_frame(encode_frame(1, KeyError("x")))
    assert isinstance(error, GenerationError)
    assert (str(error), error.status) == ("KeyError: 'x'", 500)


@pytest.mark.parametrize(
    "line", [b"{}", b"{", b'{"number": 1}', b'{"number": 1, "delta": {}}', b'{"finished": {"reason": "stop"}}']
)
def test_a_damaged_frame_is_refused(line: bytes) -> None:
    with pytest.raises(GenerationError, match="unexpected response of the runner"):
        decode_frame(line)


def test_a_load_specification_comes_back() -> None:
    share = Share(device="cpu:0", layers=3, weight_bytes=1, kv_bytes=2, compute_bytes=3)
    plan = Plan(shares=(share,), sequences=2, context_length=3, cells=4, shared_cells=True, batch=5, split="layer")
    spec = LoadSpec(
        weights=Path("/models/a b"),
        plan=plan,
        options=Options(stop=("x",), explicit=frozenset({"stop"})),
        projectors=(Path("/p"),),
        cores=(1, 2),
    )
    line = encode_spec(spec)
    assert line.count(b"\n") == 1
    assert decode_spec(line) == spec


def test_a_wrong_specification_names_the_field() -> None:
    with pytest.raises(msgspec.DecodeError, match=r"\$\.plan"):
        decode_spec(b'{"weights": "/x", "plan": 7, "options": {}}')
