"""Settings of the s3 destination."""

from __future__ import annotations

import re
import string
from typing import ClassVar, Literal

from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator

from turnout import SecretUrl, Settings
from turnout.settings import BROWSER

__all__ = ["LAYOUT", "S3Settings"]

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_FOLDER = re.compile(r"[A-Za-z0-9!_.*'()/ =:@+,-]*")
LAYOUT = frozenset({"date", "day", "hour", "month", "source", "type", "year"})
"""What may stand in braces in a layout."""


class S3Settings(Settings):
    """Which bucket, how to be let in, and how objects are named and packed."""

    ignored: ClassVar = BROWSER | {"externalId", "externalID", "roleBasedAuth"}

    bucket_name: str = Field(description="The bucket; it must be there.", examples=["hotel-events"])
    prefix: str = Field("", description="Stands before the folders of all objects.", examples=["turnout/events"])
    layout: str = Field(
        "date={date}",
        description="Folders behind the prefix. In braces: `date`, `year`, `month`, `day`, `hour` (when the event was "
        "received, UTC), `source` (its id), `type` (of the event).",
        examples=["year={year}/month={month}/day={day}/hour={hour}"],
    )
    format: Literal["ndjson", "parquet"] = Field(
        "ndjson", description="A line of JSON per event, packed with gzip, or Parquet.", examples=["parquet"],
    )
    region: str = Field(
        "", description="The bucket's region; default: that of the environment.", examples=["eu-west-1"],
    )
    endpoint: SecretUrl | None = Field(
        None, validation_alias=AliasChoices("endpoint", "endPoint"),
        description="Address of another store that speaks S3's protocol.", examples=["https://minio.example.com:9000"],
    )
    path_style: bool = Field(
        False, validation_alias=AliasChoices("pathStyle", "s3ForcePathStyle"),
        description="Name the bucket in the path instead of the host; most other stores want it.", examples=[True],
    )
    access_key_id: SecretStr | None = Field(
        None, validation_alias=AliasChoices("accessKeyID", "accessKeyId"),
        description="Access key; default: the credentials of the environment or machine.",
        examples=["${AWS_ACCESS_KEY_ID}"],
    )
    access_key: SecretStr | None = Field(
        None, validation_alias=AliasChoices("accessKey", "secretAccessKey", "secret_access_key"),
        description="Secret of the access key.", examples=["${AWS_SECRET_ACCESS_KEY}"],
    )
    iam_role_arn: str = Field(
        "", validation_alias=AliasChoices("iamRoleARN", "iamRoleArn"),
        description="Role that these credentials assume.", examples=["arn:aws:iam::123456789012:role/turnout"],
    )
    external_id: str = Field(
        "", validation_alias=AliasChoices("workspaceExternalId"),
        description="External id that the role asks for.", examples=["hotel-7"],
    )
    enable_sse: bool = Field(
        False, validation_alias=AliasChoices("enableSSE", "enableSse"),
        description="Ask the store to encrypt objects with its own keys (SSE-S3).", examples=[True],
    )
    kms_key_id: str = Field(
        "", validation_alias=AliasChoices("kmsKeyID", "kmsKeyId"),
        description="Ask it to encrypt them with this key of KMS instead (SSE-KMS).", examples=["alias/hotel"],
    )
    storage_class: str = Field("", description="Storage class of the objects.", examples=["STANDARD_IA"])

    @field_validator("bucket_name")
    @classmethod
    def _is_bucket(cls, value: str) -> str:
        if not _BUCKET.fullmatch(value):
            raise ValueError("must be a bucket's name of at least 3 characters, without s3:// and without a folder")
        return value

    @field_validator("prefix", "layout")
    @classmethod
    def _is_folder(cls, value: str) -> str:
        names = [part[1] for part in string.Formatter().parse(value) if part[1] is not None]
        plain = re.sub(r"\{[a-z]*\}", "", value)
        if not _FOLDER.fullmatch(plain) or "//" in value or ".." in value.split("/"):
            raise ValueError("must be folders of letters, digits and !_.*'() =:@+,- with / between")
        if unknown := sorted({*names} - LAYOUT):
            raise ValueError(f"{{{unknown[0]}}} is not known; there are {', '.join(sorted(LAYOUT))}")
        return value

    @model_validator(mode="after")
    def _fits(self) -> S3Settings:
        if bool(self.access_key_id) != bool(self.access_key):
            raise ValueError("access_key_id and access_key belong together")
        if "{" in self.prefix:
            raise ValueError("prefix has no braces; they belong into layout")
        return self
