"""A machine's clock that is set by hours: retries come when they are due, and nothing is given up early."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from test_model import EngineModel

from dataplane.deliver import desk


@pytest.fixture
def model() -> Iterator[EngineModel]:
    """The model's engine in virtual time, driven by hand; its end checks every verdict."""
    made = EngineModel()
    made.start()
    yield made
    made.teardown()


@pytest.mark.parametrize("hours", [-48, 48])
def test_a_retry_is_made_when_it_is_due_and_never_given_up_early(model: EngineModel, hours: int) -> None:
    model.users_fail("one", {"u1"})
    model.send(["u1", "u2"], again=False, all_=True)
    model.wait(1.0)
    model.clock.set_wall(model.clock.now() + timedelta(hours=hours))
    model.wait(40.0)

    tries = model.sides["one"].tried["u1", 0, 0]
    assert len(tries) > 3, "it is tried again all the while"
    assert model.engine is not None
    row = desk.status(model.engine)["destinations"]["one"]
    assert (row["dead"], row["pending"], row["delivered"]) == (0, 1, 1)


@pytest.mark.parametrize("hours", [-48, 48])
def test_a_refused_destination_is_probed_when_it_is_due(model: EngineModel, hours: int) -> None:
    model.mood("one", "locked")
    model.send(["u1"], again=False, all_=True)
    model.wait(1.0)
    model.clock.set_wall(model.clock.now() + timedelta(hours=hours))
    model.wait(1.0)
    assert len(model.sides["one"].tried["u1", 0, 0]) == 1
    model.mood("one", "ok")
    model.wait(70.0)
    assert model.sides["one"].tried["u1", 0, 0][-1].status == 200


def test_what_a_clock_set_back_before_a_start_has_written_is_due_all_the_same(model: EngineModel) -> None:
    model.users_fail("one", {"u1"})
    model.send(["u1"], again=False, all_=True)
    model.wait(5.0)
    before = len(model.sides["one"].tried["u1", 0, 0])
    model.clock.set_wall(model.clock.now() - timedelta(hours=48))
    model.crash()
    model.wait(60.0)
    assert len(model.sides["one"].tried["u1", 0, 0]) > before


def test_what_a_clock_set_forward_for_a_while_has_written_is_due_within_the_hour(model: EngineModel) -> None:
    model.users_fail("one", {"u1"})
    model.send(["u1"], again=False, all_=True)
    model.wait(5.0)
    model.clock.set_wall(model.clock.now() + timedelta(hours=60))
    model.crash()
    model.wait(20.0)
    model.clock.set_wall(model.clock.now() - timedelta(hours=60))
    model.crash()
    before = len(model.sides["one"].tried["u1", 0, 0])
    model.wait(3_700.0)
    assert len(model.sides["one"].tried["u1", 0, 0]) > before


@pytest.mark.parametrize("hours", [-48, 48])
def test_what_was_put_aside_comes_back_at_once_though_the_clock_was_set(model: EngineModel, hours: int) -> None:
    model.users_fail("one", {"u1"})
    model.send(["u1"], again=False, all_=True)
    model.wait(130.0)
    model.clock.set_wall(model.clock.now() + timedelta(hours=hours))
    model.users_fail("one", set())
    model.resume(("destination", "one"))
    model.wait(10.0)
    assert model.sides["one"].tried["u1", 0, 0][-1].status == 200


def test_what_was_tried_by_two_clocks_is_due_as_soon_as_any_retry(model: EngineModel) -> None:
    model.users_fail("one", {"u1"})
    model.send(["u1"], again=False, all_=True)
    model.wait(5.0)
    model.clock.set_wall(model.clock.now() + timedelta(hours=26))
    model.crash()
    model.wait(20.0)
    model.clock.set_wall(model.clock.now() - timedelta(hours=56))
    model.crash()
    model.users_fail("one", set())
    model.wait(310.0)
    assert model.sides["one"].tried["u1", 0, 0][-1].status == 200
