"""Settings of the redis destination."""

from __future__ import annotations

import re
from typing import ClassVar

from pydantic import AliasChoices, Field, SecretStr, field_validator

from turnout import Settings
from turnout.settings import BROWSER

__all__ = ["RedisSettings"]

_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/,@\[\]]+)(:(?P<port>\d{1,5}))?")
PORT = 6379


class RedisSettings(Settings):
    """Which server or cluster, how to be let in, and what keys are called."""

    ignored: ClassVar = BROWSER

    address: str = Field(
        description="`host:port`, several of a cluster with commas between; without a port 6379.",
        examples=["redis.internal.example.com:6379"],
    )
    cluster_mode: bool = Field(
        False, description="The addresses are nodes of a Redis Cluster. RudderStack's configurations mean true "
        "where they say nothing.", examples=[True],
    )
    database: str = Field(
        "0", coerce_numbers_to_str=True, description="Number of the database; a cluster has only 0.", examples=["2"],
    )
    username: str = Field("", description="User of the server's ACL; without one, `default`.", examples=["turnout"])
    password: SecretStr | None = Field(None, description="Password of the user.", examples=["${REDIS_PASSWORD}"])
    secure: bool = Field(False, description="Connect with TLS.", examples=[True])
    skip_verify: bool = Field(
        False, description="With TLS: take any certificate. Whoever stands between can then read everything.",
        examples=[True],
    )
    ca_certificate: str = Field(
        "", description="With TLS: certificates (PEM) to trust instead of the system's.",
        examples=["${REDIS_CA_CERTIFICATE}"],
    )
    prefix: str = Field("", description="Stands before each user's key, with a colon between.", examples=["crm"])
    use_json_module: bool = Field(
        False, validation_alias=AliasChoices("useJSONModule", "useJsonModule"),
        description="Store JSON documents, with nested objects as they are, instead of hashes. The server needs the "
        "JSON commands (Redis 8, or the module RedisJSON).", examples=[True],
    )
    workspace_id: str = Field(
        "", description="First part of the keys of profiles, as RudderStack has it.", examples=["w-1"],
    )
    destination_id: str = Field(
        "", description="Second part of the keys of profiles, as RudderStack has it.", examples=["d-1"],
    )

    @field_validator("address")
    @classmethod
    def _is_address(cls, value: str) -> str:
        for one in value.split(","):
            found = _ADDRESS.fullmatch(one.strip())
            if found is None or not 0 < int(found["port"] or PORT) < 65536:
                raise ValueError("must be host:port, several with commas between")
        return value

    def nodes(self) -> list[tuple[str, int]]:
        """Hosts and ports of the addresses, in order."""
        found = [_ADDRESS.fullmatch(one.strip()) for one in self.address.split(",")]
        return [(one["host"].strip("[]"), int(one["port"] or PORT)) for one in found if one is not None]
