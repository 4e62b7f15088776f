"""Settings of the Salesforce destination: those of the account, and what is written how."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, AliasChoices, Field

from turnout import Names
from turnout.errors import Refused
from turnout.settings import BROWSER
from vendors.salesforce import soql
from vendors.salesforce.login import Account

__all__ = ["SalesforceSettings"]


def _object(value: str) -> str:
    try:
        return soql.name(value)
    except Refused as error:
        raise ValueError(error.message) from error


class SalesforceSettings(Account):
    """Which org, which objects, how records are found and how they are written."""

    ignored: ClassVar = BROWSER

    object: Annotated[str, AfterValidator(_object)] = Field(
        "Lead", description="What users (`Lead` or `Contact`) and rows of a warehouse (any object) become.",
        examples=["Contact"],
    )
    objects: Names = Field(
        ("Lead", "Contact"),
        description="Objects that anyone's events may name in `context.externalId`; trusted sources name any.",
        examples=[["Lead", "Contact", "Membership__c"]],
    )
    map_property: bool = Field(
        True, description="Write traits to the fields they mean, others to custom ones; off, to those of their name.",
        examples=[False], validation_alias=AliasChoices("map_property", "mapProperty", "mapProperties"),
    )
    use_contact_id: bool = Field(
        True, description="Write to the contact that a converted lead became; off, to the lead.", examples=[False]
    )
    placeholders: Literal["create", "always"] = Field(
        "create",
        description="When a missing LastName or Company is written as `n/a`: with new records, or with updates too.",
        examples=["always"],
    )
    lookup: Literal["query", "search"] = Field(
        "query",
        description="How records are found: by query, at once and exactly, or in the search index, minutes behind.",
        examples=["search"],
    )
    collections: bool = Field(
        True, description="Write up to 200 records with one call; off, each with one of its own.", examples=[False]
    )
    allow_duplicates: bool = Field(
        False, description="Save what a duplicate rule of the org only warns of.", examples=[True]
    )
    api_version: str = Field(
        "59.0", description="Version of the REST API.", pattern=r"^[3-9]\d\.0$", examples=["62.0"]
    )
