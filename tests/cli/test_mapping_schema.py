"""`mwl mapping schema`: what an editor checks profiles with."""

from __future__ import annotations

import json

import pytest

from mwl.mapping.devices.profile import schema_text as device_schema
from mwl.mapping.systems.system_form import schema_text as system_schema


@pytest.mark.parametrize(
    ("arguments", "schema"),
    [((), device_schema), (("devices",), device_schema), (("systems",), system_schema)],
)
def test_the_schema_is_printed_as_it_stands_in_the_folder(mwl, arguments, schema):
    """Of device profiles, unless systems are meant."""
    outcome = mwl("mapping", "schema", *arguments)

    assert (outcome.code, outcome.out) == (0, schema())
    assert json.loads(outcome.out)["$schema"].endswith("2020-12/schema")


def test_there_are_two_sides(mwl):
    """Anything else is wrong usage."""
    assert mwl("mapping", "schema", "tables").code == 2
