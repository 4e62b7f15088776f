"""A paused source and a stopped intake: 503 with Retry-After, so that SDKs come again."""

from __future__ import annotations

from dataplane.config.model import Config

EVENT = {"userId": "u", "event": "Seen", "messageId": "m"}


async def test_a_paused_source_gets_503_and_the_others_are_taken(site) -> None:
    site.gateway.hold({"website"}, stopped=False)
    status, said, headers = await site.send(json=EVENT)
    assert (status, said["code"], headers["Retry-After"]) == (503, "source_paused", "30")
    assert (await site.send(key="wk_backend", json=EVENT))[0] == 200
    assert len(site.log.records) == 1
    site.gateway.hold((), stopped=False)
    assert (await site.send(json=EVENT))[0] == 200


async def test_a_reload_keeps_the_pause(site) -> None:
    site.gateway.hold({"website"}, stopped=False)
    site.gateway.apply(Config.model_validate({"server": {"port": 0}, "sources": {"website": {"write_key": "wk"}}}))
    assert (await site.send(json=EVENT))[0] == 503
    assert site.log.records == []


async def test_a_stopped_intake_takes_from_nobody_and_is_not_ready(site) -> None:
    site.gateway.hold((), stopped=True)
    for key in ("wk", "wk_backend"):
        status, said, headers = await site.send(key=key, json=EVENT)
        assert (status, said["code"], headers["Retry-After"]) == (503, "backlog_full", "10")
    assert (await site.send("/ready", method="GET"))[0] == 503
    assert (await site.send("/health", method="GET"))[0] == 200, "a restart would not help"
    assert (await site.send(key="unknown", json=EVENT))[0] == 401
    site.gateway.hold((), stopped=False)
    assert (await site.send("/ready", method="GET"))[0] == 200
    assert (await site.send(json=EVENT))[0] == 200
