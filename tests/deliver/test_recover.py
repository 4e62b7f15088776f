"""The state file or the sequence is gone: what is in the log and was not delivered is delivered."""

from __future__ import annotations

import asyncio
import errno
import shutil
from pathlib import Path
from typing import Any

import pytest
from engine_kit import Plant, Server, config, event, per_user

from dataplane.config.model import LogConfig
from dataplane.deliver import books
from dataplane.inspect.health import judge
from dataplane.log.local import open_writer


def lose(plant: Plant) -> None:
    for path in (plant.folder / "data" / "state").glob("pipeline.db*"):
        path.unlink()


def spoil(plant: Plant) -> None:
    for path in (plant.folder / "data" / "state").glob("pipeline.db*"):
        path.write_bytes(b"no database" * 1_000)


@pytest.mark.parametrize("harm", [lose, spoil])
async def test_a_backlog_outlives_the_state_file(
    plant: Plant, server: Server, monkeypatch: pytest.MonkeyPatch, harm: object
) -> None:
    monkeypatch.setattr(books, "RELEASE_EVERY", 0.02)
    text = config(server.url).replace("start: beginning", "start: now")
    await plant.start(text)
    for n in range(20):
        await plant.send(event("ann", n))
    await plant.until(lambda: len(server.taken) == 20)
    await plant.until(lambda: plant.partitions.released == plant.partitions.heads)
    await plant.reload(text + "    enabled: false\n")
    for n in range(20, 40):
        await plant.send(event("ann", n))
    await plant.until(lambda: plant.status()["sequenced"] == 40)
    await plant.stop()
    harm(plant)

    await plant.start(text)
    await plant.until(lambda: len(server.taken) >= 40)
    await asyncio.sleep(0)
    assert per_user(server.taken) == {"ann": list(range(40))}, "the backlog, and nothing twice"
    kept = {path.name for path in (plant.folder / "data" / "state").glob("*.bad")}
    assert bool(kept) == (harm is spoil)


async def test_a_log_without_destinations_is_no_lost_state(plant: Plant, server: Server) -> None:
    await plant.start("sources: {web: {write_key: k}}\n")
    await plant.send(event("ann", 1))
    await plant.until(lambda: plant.status()["sequenced"] == 1)
    await asyncio.sleep(0.3)
    await plant.stop()
    await plant.start(config(server.url).replace("start: beginning", "start: now"))
    await plant.send(event("ann", 2))
    await plant.until(lambda: len(server.taken) == 1)
    assert per_user(server.taken) == {"ann": [2]}


async def test_events_outlive_the_sequence(plant: Plant, server: Server) -> None:
    """Numbers never begin again below those that destinations have passed: what is new would be skipped."""
    await plant.start(config(server.url))
    for n in range(20):
        await plant.send(event("ann", n))
    await plant.until(lambda: len(server.taken) == 20)
    server.answer = lambda body: (500, {})
    await plant.send(event("bob", 0), event("bob", 1), event("bob", 2))
    await plant.until(lambda: plant.status()["destinations"]["hook"]["waiting"] == 2)
    await plant.stop()
    await plant.writer.close()
    shutil.rmtree(plant.folder / "data" / "sequence")
    shutil.rmtree(plant.folder / "data" / "log")  # as where all of it was let go, but for what follows
    plant.writer = open_writer(plant.folder / "data" / "log" / "0", LogConfig(min_free_bytes=0))
    server.answer = lambda body: (200, {})

    await plant.start(config(server.url))
    await plant.send(event("bob", 1), event("bob", 2), event("ann", 20), event("ann", 20))
    await plant.until(lambda: len(server.taken) == 24)
    assert per_user(server.taken) == {"ann": list(range(21)), "bob": [0, 1, 2]}
    assert plant.engine.sequencer.next_number == 28


async def test_ids_without_their_sequence_make_no_duplicates(plant: Plant, server: Server) -> None:
    await plant.start(config(server.url) + "    enabled: false\n")
    await plant.send(*[event("ann", n) for n in range(5)])
    await plant.until(lambda: plant.status()["sequenced"] == 5)
    await asyncio.sleep(0.3)
    await plant.stop()
    for path in (plant.folder / "data" / "sequence").glob("*.seq"):
        path.unlink()
    await plant.start(config(server.url))
    await plant.until(lambda: len(server.taken) == 5)
    assert per_user(server.taken) == {"ann": list(range(5))}


@pytest.mark.parametrize("harm", [lose, spoil])
async def test_letters_outlive_the_state_file(plant: Plant, server: Server, harm: Any) -> None:
    """Their index was in it: nobody knows any more which of them were retried, so all are kept, and said."""
    server.answer = lambda _: (400, {})
    await plant.start(config(server.url))
    await plant.send(event("ann", 1), event("bob", 2), refused=[1])
    await plant.until(lambda: plant.status()["destinations"]["hook"]["dead"] == 1)
    await plant.stop()
    data = plant.folder / "data"
    kept = {name: (data / name / f"00000001.{name}").read_bytes() for name in ("dead", "refused")}
    harm(plant)
    for _ in range(2):
        await plant.start(config(server.url))
        await plant.engine.retention.sweep()
        assert {name: (data / name / "lost-1" / f"00000001.{name}").read_bytes() for name in kept} == kept
        told = plant.status()
        assert told["lost_letters"] == {str(data / name / "lost-1"): len(text) for name, text in kept.items()}
        health = judge({**told, "roles": {}})
        assert sum("whose index went with the state file" in one for one in health["warnings"]) == 2
        await plant.stop()
    shutil.rmtree(data / "dead" / "lost-1")
    await plant.start(config(server.url))
    assert list(plant.status()["lost_letters"]) == [str(data / "refused" / "lost-1")]


async def test_letters_are_set_aside_at_the_next_start_where_they_could_not_be(
    plant: Plant, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer = lambda _: (400, {})
    await plant.start(config(server.url))
    await plant.send(event("ann", 1))
    await plant.until(lambda: plant.status()["destinations"]["hook"]["dead"] == 1)
    await plant.stop()
    data = plant.folder / "data"
    letters = (data / "dead" / "00000001.dead").read_bytes()
    lose(plant)

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "a restored folder of somebody else's")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", refused)
        with pytest.raises(PermissionError):
            await plant.start(config(server.url))
    plant.partitions.close()
    await plant.start(config(server.url))
    await plant.engine.retention.sweep()
    assert letters in [path.read_bytes() for path in (data / "dead").glob("lost-*/*.dead")]
