"""Uploads objects: one per batch and folder, delivered once the store has answered that it has it.

Nothing is kept here between two writes: events wait in the log until their batch is full, so that a crash
loses none. An object is named after what is in it: the same batch, uploaded again, replaces itself.
"""

from __future__ import annotations

import asyncio
import gzip
import threading
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from destinations.s3.settings import S3Settings
from turnout import Delivery, Record, Verdict, delivered, pause, retry
from turnout.extras import need

__all__ = ["Client", "name_of"]

CONNECT = 10
"""Seconds to connect, or `delivery.timeout` where that is less: so long may an upload be without an answer."""

_LATER = frozenset({
    "BandwidthLimitExceeded", "InternalError", "OperationAborted", "RequestTimeout", "RequestTimeTooSkewed", "SlowDown",
    "ServiceUnavailable", "ThrottlingException", "Throttling", "TooManyRequests", "BadDigest", "IncompleteBody",
    "XAmzContentSHA256Mismatch", "KMS.ThrottlingException",
})
"""Errors that may be over when an upload is tried again.
Source: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList."""


class Client:
    """Connects at the first write. Uploads one object after the other."""

    def __init__(self, settings: S3Settings, base: Path, delivery: Delivery) -> None:
        need("destination s3", "boto3", "s3")
        if settings.format == "parquet":
            need("format: parquet", "pyarrow", "parquet")
        self._settings = settings
        self._timeout = delivery.timeout.total_seconds()
        host = urlsplit(settings.endpoint.get_secret_value()).hostname if settings.endpoint else None
        self.hosts = [host] if host else []  # Amazon's own are nobody's choice
        self._lock = threading.Lock()
        self._s3: Any = None

    async def write(self, records: Sequence[Record]) -> Sequence[Verdict]:
        """Upload the objects of a batch; after one that fails the rest is not tried."""
        return await asyncio.to_thread(self._write, records)

    async def close(self) -> None:
        """Close the connections."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        with self._lock:
            if self._s3 is not None:
                self._s3.close()
                self._s3 = None

    def _write(self, records: Sequence[Record]) -> list[Verdict]:
        # A lock of threads: a cancelled caller leaves its thread uploading, and the next one waits.
        with self._lock:
            folders: dict[str, list[int]] = {}
            for place, record in enumerate(records):
                folders.setdefault(record.target, []).append(place)
            found: dict[int, Verdict] = {}
            failed: Verdict | None = None
            for folder, places in folders.items():
                verdict = failed or self._upload(folder, [records[i].body for i in places])
                if not verdict.final:
                    failed = verdict
                found.update(dict.fromkeys(places, verdict))
            return [found[place] for place in range(len(records))]

    def _upload(self, folder: str, bodies: Sequence[bytes]) -> Verdict:
        from botocore.exceptions import BotoCoreError, ClientError

        kind = self._settings.format
        data = _parquet(bodies) if kind == "parquet" else _ndjson(bodies)
        try:
            self._connected().put_object(
                Bucket=self._settings.bucket_name, Key=name_of(folder, bodies, kind), Body=data,
                **_HEADERS[kind], **_kept(self._settings),
            )
        except ClientError as error:
            return _judge(error.response)
        except BotoCoreError as error:
            return _unsent(error)
        except OSError as error:
            return retry(f"s3: no connection ({type(error).__name__})")
        return delivered(200)

    def _connected(self) -> Any:
        if self._s3 is None:
            self._s3 = _connection(self._settings, self._timeout)
        return self._s3


_HEADERS: Mapping[str, Mapping[str, str]] = {
    # Not Content-Encoding: readers of lakes go by the name, and clients of HTTP would unpack it once too often.
    "ndjson": {"ContentType": "application/gzip"},
    "parquet": {"ContentType": "application/vnd.apache.parquet"},
}
_ENDINGS = {"ndjson": "ndjson.gz", "parquet": "parquet"}


def name_of(folder: str, bodies: Sequence[bytes], kind: str) -> str:
    """The key of an object: its folder and a name that the same events in the same order have again."""
    digest = sha256()
    for body in bodies:
        digest.update(len(body).to_bytes(8, "little"))
        digest.update(body)
    name = f"{digest.hexdigest()[:32]}.{_ENDINGS[kind]}"
    return f"{folder}/{name}" if folder else name


def _ndjson(bodies: Sequence[bytes]) -> bytes:
    # Without the time, so that the same events are the same bytes.
    return gzip.compress(b"\n".join(bodies) + b"\n", compresslevel=6, mtime=0)


def _parquet(bodies: Sequence[bytes]) -> bytes:
    from destinations.s3.parquet import packed

    return packed(bodies)


def _kept(settings: S3Settings) -> dict[str, str]:
    """How the store is to keep an object."""
    asked: dict[str, str] = {}
    if settings.kms_key_id:
        asked |= {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": settings.kms_key_id}
    elif settings.enable_sse:
        asked["ServerSideEncryption"] = "AES256"
    if settings.storage_class:
        asked["StorageClass"] = settings.storage_class
    return asked


def _connection(settings: S3Settings, timeout: float) -> Any:
    import boto3
    from botocore.config import Config

    pair = [one.get_secret_value() if one else None for one in (settings.access_key_id, settings.access_key)]
    session = boto3.Session(*pair, region_name=settings.region or None)
    if settings.iam_role_arn:
        session = _assumed(session, settings)
    config = Config(
        connect_timeout=min(CONNECT, timeout), read_timeout=timeout,
        retries={"total_max_attempts": 2, "mode": "standard"},
        s3={"addressing_style": "path" if settings.path_style else "auto"},
        # Other stores do not know all checksums of Amazon's.
        request_checksum_calculation="when_required" if settings.endpoint else "when_supported",
    )
    endpoint = settings.endpoint.get_secret_value() if settings.endpoint else None
    return session.client("s3", endpoint_url=endpoint, config=config)


def _assumed(session: Any, settings: S3Settings) -> Any:
    """A session of the role, whose credentials are asked for and renewed with those of this one."""
    import boto3
    from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
    from botocore.session import get_session

    inner = session._session  # boto3 has no public way from its session to the credentials' machinery
    extra = {"RoleSessionName": "turnout"} | ({"ExternalId": settings.external_id} if settings.external_id else {})
    fetcher = AssumeRoleCredentialFetcher(
        inner.create_client, inner.get_credentials(), settings.iam_role_arn, extra_args=extra
    )
    role = get_session()
    role._credentials = DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")
    return boto3.Session(botocore_session=role, region_name=session.region_name)


def _judge(response: Mapping[str, Any]) -> Verdict:
    """What an error of the store means: never that the events are to blame, so none is given up for it."""
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)
    code = str(response.get("Error", {}).get("Code") or status)[:60]
    reason = f"s3: HTTP {status}: {code}"
    if code in _LATER or status in (408, 429) or status >= 500 or not status:
        return retry(reason, status=status or None)
    return pause(f"{reason}: the store refuses these credentials, the bucket, or how objects are to be kept", status)


def _unsent(error: Exception) -> Verdict:
    """No answer, or nothing to ask with; the text may hold an address, so only the kind is told."""
    from botocore import exceptions as known

    kind = type(error).__name__
    missing = (
        known.NoCredentialsError, known.PartialCredentialsError, known.NoRegionError, known.ProfileNotFound,
        known.ParamValidationError, known.UnauthorizedSSOTokenError, known.InvalidRegionError,
    )
    if isinstance(error, missing):
        return pause(f"s3: there are no credentials, or settings that cannot be used ({kind})")
    return retry(f"s3: no answer ({kind})")
