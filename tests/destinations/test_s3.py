"""The s3 destination: folders and names, moto's server behind its client, and a data plane that is killed."""

from __future__ import annotations

import gzip
import json
import time
import urllib.request
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path

import boto3
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer

from destinations import registry
from destinations.s3 import S3
from destinations.s3.client import Client, _judge, name_of
from destinations.s3.parquet import packed
from destinations.s3.settings import S3Settings
from turnout import Context, Event, Record
from turnout.errors import Fixable
from turnout.testing.fake_clock import START

KEYS = {"access_key_id": "a-key", "access_key": "a-secret", "region": "us-east-1"}


@pytest.fixture(scope="module")
def address():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def store(address):
    urllib.request.urlopen(urllib.request.Request(f"{address}/moto-api/reset", method="POST")).close()
    one = boto3.client(
        "s3", endpoint_url=address, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    one.create_bucket(Bucket="rooms")
    yield one
    one.close()


@asynccontextmanager
async def client(address: str, bucket: str = "rooms", **settings):
    chosen = S3Settings(bucket_name=bucket, endpoint=address, path_style=True, **{**KEYS, **settings})
    made = Client(chosen, Path(), S3.delivery)
    try:
        yield made
    finally:
        await made.close()


def lines(folder: str, *numbers: int) -> list[Record]:
    return [Record(folder, None, b'{"n":%d}' % n) for n in numbers]


def outcomes(verdicts) -> list[str]:
    return [str(one.outcome) for one in verdicts]


def kept(store) -> dict[str, bytes]:
    found = store.list_objects_v2(Bucket="rooms").get("Contents", [])
    return {one["Key"]: store.get_object(Bucket="rooms", Key=one["Key"])["Body"].read() for one in found}


def numbers(store) -> list[int]:
    return [json.loads(line)["n"] for data in kept(store).values() for line in gzip.decompress(data).splitlines()]


def folder(message: dict, source: str = "web", **settings) -> str:
    adapter = S3(S3Settings(bucket_name="rooms", **settings))
    return adapter.verdict(Event(message=message, source=source), Context(START, adapter.delivery)).target


# ---- names


def test_folders_are_of_the_hour_at_which_an_event_was_received() -> None:
    message = {"type": "Track", "receivedAt": "2026-01-31T23:30:00.000-02:00"}
    assert folder(message) == "date=2026-02-01"
    assert folder(message, prefix="/a/b/", layout="{year}/{month}/{day}/{hour}") == "a/b/2026/02/01/01"
    assert folder(message, source="my app/1", layout="{source}/{type}") == "my_app_1/track"
    assert folder(message, layout="/") == ""
    assert folder({"type": "track", "receivedAt": "2026-02-28T23:59:59.999Z"}) == "date=2026-02-28"
    assert folder({"type": "track", "receivedAt": "2026-02-30T10:00:00Z"}) == "date=2026-01-02", "no day of a calendar"
    assert folder({"type": "track"}) == "date=2026-01-02", "the time of sending where none is known"


@given(st.one_of(st.text(), st.integers(), st.none()), st.sampled_from(["track", "IDENTIFY"]), st.text())
def test_nothing_in_an_event_leaves_the_layout(received, kind, source) -> None:
    made = folder({"type": kind, "receivedAt": received}, source, layout="{date}/{source}/{type}").split("/")
    assert len(made) == 3
    assert all(part and ".." not in part for part in made)


@given(st.lists(st.binary(max_size=5), max_size=5), st.lists(st.binary(max_size=5), max_size=5))
def test_an_object_is_named_after_what_is_in_it(one, other) -> None:
    assert (name_of("f", one, "ndjson") == name_of("f", other, "ndjson")) == (one == other)


# ---- a store


async def test_a_batch_is_one_object_of_each_folder(store, address) -> None:
    async with client(address) as one:
        records = [*lines("date=2026-01-01", 1, 2), *lines("date=2026-01-02", 3), *lines("date=2026-01-01", 4)]
        assert outcomes(await one.write(records)) == ["delivered"] * 4
    found = {key.split("/")[0]: gzip.decompress(data) for key, data in kept(store).items()}
    assert found == {"date=2026-01-01": b'{"n":1}\n{"n":2}\n{"n":4}\n', "date=2026-01-02": b'{"n":3}\n'}
    assert all(key.endswith(".ndjson.gz") for key in kept(store))


async def test_the_same_batch_again_replaces_itself(store, address) -> None:
    for _ in range(2):
        async with client(address) as one:
            await one.write(lines("f", 1, 2))
    assert numbers(store) == [1, 2]


async def test_no_bucket_pauses_and_no_event_is_given_up(store, address) -> None:
    async with client(address, "elsewhere") as one:
        found = await one.write([*lines("f", 1), *lines("g", 2)])
        assert outcomes(found) == ["pause", "pause"]
        assert "NoSuchBucket" in found[0].reason
        store.create_bucket(Bucket="elsewhere")
        assert outcomes(await one.write(lines("f", 1))) == ["delivered"]


async def test_no_store_is_tried_again() -> None:
    async with client("http://127.0.0.1:1") as one:
        found = await one.write(lines("f", 1))
    assert outcomes(found) == ["retry"]
    assert "127.0.0.1" not in found[0].reason


async def test_no_credentials_pause(address, monkeypatch, tmp_path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    async with client(address, access_key_id="", access_key=None) as one:
        assert outcomes(await one.write(lines("f", 1))) == ["pause"]


@pytest.mark.parametrize(
    ("settings", "header"),
    [
        ({"enable_sse": True}, {"ServerSideEncryption": "AES256"}),
        ({"kms_key_id": "k-1", "enable_sse": True}, {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "k-1"}),
        ({"storage_class": "STANDARD_IA"}, {"StorageClass": "STANDARD_IA"}),
    ],
)
async def test_how_objects_are_kept(store, address, settings, header) -> None:
    async with client(address, **settings) as one:
        assert outcomes(await one.write(lines("f", 1))) == ["delivered"]
    (key,) = kept(store)
    assert header.items() <= store.head_object(Bucket="rooms", Key=key).items()


async def test_a_role_is_assumed(store, address, monkeypatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", address)
    async with client(address, iam_role_arn="arn:aws:iam::123456789012:role/turnout", external_id="e-1") as one:
        assert outcomes(await one.write(lines("f", 1))) == ["delivered"]
        assert one._s3._request_signer._credentials.access_key != KEYS["access_key_id"]
    assert numbers(store) == [1]


async def test_parquet_has_columns_to_filter_by(store, address) -> None:
    event = {
        "type": "track", "messageId": "m-1", "userId": 7, "event": "Room Booked", "properties": {"nights": 3},
        "receivedAt": "2026-01-02T03:04:05.678Z",
    }  # fmt: skip
    async with client(address, format="parquet") as one:
        bodies = (json.dumps(event).encode(), b'{"type":"page"}', b"no JSON")
        assert outcomes(await one.write([Record("f", None, body) for body in bodies])) == ["delivered"] * 3
    ((key, data),) = kept(store).items()
    assert key.endswith(".parquet")
    first, second, third = pq.read_table(BytesIO(data)).to_pylist()
    assert (first["user_id"], first["event"], second["user_id"]) == ("7", "Room Booked", None)
    assert first["received_at"].isoformat() == "2026-01-02T03:04:05.678000+00:00"
    assert json.loads(first["message"]) == event
    assert (third["type"], third["message"]) == (None, "no JSON")


@given(st.lists(st.binary(max_size=40) | st.just(b'{"event":"\\ud800","timestamp":"0001-01-01T00:00:00+23:00"}')))
def test_any_event_is_a_row(bodies) -> None:
    assert pq.read_table(BytesIO(packed(bodies))).num_rows == len(bodies)


@pytest.mark.parametrize(
    ("status", "code", "outcome"),
    [
        (503, "SlowDown", "retry"), (500, "InternalError", "retry"), (400, "RequestTimeout", "retry"),
        (403, "AccessDenied", "pause"), (403, "SignatureDoesNotMatch", "pause"), (400, "ExpiredToken", "pause"),
        (404, "NoSuchBucket", "pause"), (400, "KMS.NotFoundException", "pause"), (301, "PermanentRedirect", "pause"),
    ],
)
def test_what_an_error_means(status, code, outcome) -> None:
    response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    assert str(_judge(response).outcome) == outcome


# ---- a data plane


def test_what_waits_for_its_batch_survives_a_kill(store, address, data_plane) -> None:
    text = (
        "server: {port: 0}\nadmin: {port: 0}\negress: {allow_private: true}\n"
        "sources:\n  web: {write_key: k}\ndestinations:\n  lake:\n    type: s3\n"
        f"    settings: {{bucket_name: rooms, endpoint: '{address}', path_style: true, region: us-east-1,\n"
        "      access_key_id: a, access_key: b}\n    delivery: {linger: LINGER}\n"
    )
    plane = data_plane(text.replace("LINGER", "1h"))
    _send(plane.url, range(30))
    while plane.status()["destinations"]["lake"]["pending"] < 30:
        time.sleep(0.02)
    assert kept(store) == {}, "a batch waits until it is full or old enough"
    plane.kill()
    plane.config.write_text(text.replace("LINGER", "200ms"))
    plane.start()
    while plane.status()["destinations"]["lake"]["delivered"] < 30:
        time.sleep(0.02)
    assert len(kept(store)) == 1
    events = [json.loads(line) for data in kept(store).values() for line in gzip.decompress(data).splitlines()]
    assert [one["properties"]["n"] for one in events] == list(range(30))


def _send(url: str, some: range) -> None:
    one = {"type": "track", "event": "E", "userId": "u"}
    batch = [{**one, "messageId": f"m-{n}", "properties": {"n": n}} for n in some]
    request = urllib.request.Request(
        f"{url}/v1/batch", json.dumps({"batch": batch}).encode(),
        {"Authorization": "Basic azo=", "Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=10).close()


# ---- settings


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"bucket_name": "s3://rooms"}, "s3://"), ({"bucket_name": "ro"}, "at least 3 characters"),
        ({"layout": "{event}"}, "event"),
        ({"layout": "{date!r}"}, "letters"),
        ({"layout": "{date"}, "layout"),
        ({"layout": "a//b"}, "folders"),
        ({"prefix": "a/../b"}, "folders"),
        ({"prefix": "{date}"}, "layout"),
        ({"access_key_id": "a"}, "belong together"),
        ({"endpoint": "minio:9000"}, "https://"),
    ],
)
def test_settings_that_are_refused(settings, said) -> None:
    with pytest.raises(ValueError, match=said):
        S3Settings(**{"bucket_name": "rooms", **settings})


def test_rudderstacks_settings_are_read() -> None:
    made = S3Settings(
        bucketName="rooms", prefix="p", roleBasedAuth=False, accessKeyID="a", accessKey="b", enableSSE=True,
    )  # fmt: skip
    assert (made.access_key_id.get_secret_value(), made.enable_sse, made.bucket_name) == ("a", True, "rooms")


@pytest.mark.parametrize(
    ("package", "slug", "settings", "line"),
    [
        ("boto3", "s3", {"bucket_name": "rooms"}, "pip install 'turnout[s3]'"),
        ("pyarrow", "s3", {"bucket_name": "rooms", "format": "parquet"}, "pip install 'turnout[parquet]'"),
        ("redis", "redis", {"address": "a"}, "pip install 'turnout[redis]'"),
        ("confluent_kafka", "kafka", {"host_name": "a", "topic": "t"}, "pip install 'turnout[kafka]'"),
    ],
)
def test_a_missing_package_is_said_with_the_line_that_installs_it(
    package, slug, settings, line, monkeypatch, tmp_path
) -> None:
    made = registry.build(slug, settings).settings
    monkeypatch.setattr("turnout.extras.find_spec", lambda name: None if name == package else object())
    with pytest.raises(Fixable) as caught:
        registry.client(slug, made, base=tmp_path, delivery=S3.delivery)
    assert line in str(caught.value)
