"""What requests ask of the devices: whom it concerns, and when it makes a model load again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pollama.errors import BadRequestError
from pollama.types.multigpu import MultiGpu, Wish
from tests.scheduler.support import TIGHT, World, cpu, gpu, make_model, make_spec, wish

A = make_model("a")
GPUS = (cpu(8), gpu(0, 8), gpu(1, 8))
SEVERAL = replace(TIGHT, num_parallel=4, multi_gpu=MultiGpu(enabled=True, replicas=1))


def asks(**fields: object) -> Wish:
    return replace(Wish(), **fields)  # type: ignore[arg-type]


def served_after(world: World, first: Wish, second: Wish) -> bool:
    """Tell whether the load for the first wish serves the second one too."""
    world.serve(replace(wish(A), wish=first))
    return world.want(replace(wish(A), wish=second)) in world.granted


class TestWhatIsLoaded:
    @pytest.mark.parametrize(
        ("first", "second"),
        [
            (Wish(), Wish()),
            (asks(strategy="data", profile="latency"), Wish()),
            (asks(strategy="data"), asks(strategy="data")),
            (asks(strategy="pipeline", devices=("cuda-0", "cuda-1")), asks(strategy="pipeline")),
            (asks(devices=("cuda-1",)), asks(devices=("cuda-0", "cuda-1"))),
        ],
    )
    def test_serves_whoever_asks_for_what_it_is(self, first: Wish, second: Wish) -> None:
        assert served_after(World(SEVERAL, GPUS), first, second)

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            (asks(strategy="pipeline"), asks(strategy="data")),
            (asks(devices=("cuda-1",)), asks(devices=("cuda-0",))),
            (Wish(), asks(profile="latency")),
        ],
    )
    def test_makes_room_for_what_is_something_else(self, first: Wish, second: Wish) -> None:
        world = World(SEVERAL, GPUS)
        assert not served_after(world, first, second)
        world.finish_all()
        world.finish_all()
        assert (len(world.loads), world.unloads) == (2, [1])


class TestDevices:
    @pytest.mark.parametrize("name", ["1", "cuda-1", "cuda 1"])
    def test_are_named_by_number_id_or_name(self, name: str) -> None:
        world = World(SEVERAL, GPUS)
        world.serve(replace(wish(A), wish=Wish(devices=(name,))))
        assert [share.device for share in world.loads[1].plan.shares if share.layers] == ["cuda-1"]

    def test_that_do_not_exist_are_named_in_the_refusal(self) -> None:
        world = World(SEVERAL, GPUS)
        refused = world.want(replace(wish(A), wish=Wish(devices=("7",))))
        assert isinstance(world.refused[refused], BadRequestError)
        assert "there is no device '7'" in str(world.refused[refused])

    def test_of_the_cpu_have_numbers_where_there_is_no_gpu(self) -> None:
        world = World(SEVERAL, (cpu(8, name="core0"), cpu(8, name="core1")))
        world.serve(replace(wish(A), wish=Wish(devices=("1",))))
        assert [share.device for share in world.loads[1].plan.shares if share.layers] == ["core1"]


def test_without_several_devices_nobody_is_asked() -> None:
    assert served_after(World(replace(TIGHT, num_parallel=4), GPUS), Wish(), asks(strategy="pipeline"))


def test_a_model_that_no_wish_names_takes_turns_only_when_somebody_asks() -> None:
    """Two requests that want different layouts swap the model once each, however many plain ones are between them."""
    large = make_model("large", spec=make_spec(layers=4))
    world = World(SEVERAL, GPUS)
    for wanted in (asks(strategy="pipeline"), Wish(), Wish(), asks(strategy="data"), Wish(), asks(strategy="data")):
        world.want(replace(wish(large), wish=wanted))
        world.finish_all()
        world.finish_all()
        world.finish_all()
    assert len(world.loads) == 2
