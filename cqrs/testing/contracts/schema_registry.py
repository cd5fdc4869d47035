"""What `SchemaRegistry` promises: `class TestMyRegistry(SchemaRegistryContract)` with a fixture `registry`."""

import json

import pytest

from cqrs.exceptions import ConfigurationException
from cqrs.messaging.schemas import (
    IncompatibleSchemaException,
    InvalidSchemaException,
    SchemaRegistry,
    schema_guid,
)
from cqrs.testing.contracts.contract import Contract


class SchemaRegistryContract(Contract):
    """Hold a `SchemaRegistry` to its port; needs a fixture `registry`, empty for each test."""

    @pytest.mark.asyncio
    async def test_a_registered_schema_is_found_in_every_way(self, registry: SchemaRegistry) -> None:
        """Find it by id, by guid, by subject and version, and as the latest."""
        text = _order("id")

        schema_id = await registry.register("orders.events-orders.Created", text)

        found = await registry.schema_by_id(schema_id)
        assert found is not None
        assert json.loads(found) == json.loads(text)
        assert list(await registry.subjects()) == ["orders.events-orders.Created"]
        assert list(await registry.versions("orders.events-orders.Created")) == [1]
        assert await registry.schema_by_version("orders.events-orders.Created", None) == (schema_id, 1, found)
        assert await registry.schema_by_version("orders.events-orders.Created", 1) == (schema_id, 1, found)

    @pytest.mark.asyncio
    async def test_a_registered_schema_is_found_by_its_guid(self, registry: SchemaRegistry) -> None:
        """Know the id that a record's header may carry, and no other."""
        text = _order("id")
        schema_id = await registry.register("a", text)

        assert await registry.schema_by_guid(schema_guid(text)) == await registry.schema_by_id(schema_id)
        assert await registry.schema_by_guid("0b8f3a52-7d8a-4c0e-9b6a-3f1f6d1f2a11") is None

    @pytest.mark.asyncio
    async def test_what_is_unknown_is_absent(self, registry: SchemaRegistry) -> None:
        """Answer None, or nothing; that is no error."""
        await registry.register("known", _order("id"))

        assert await registry.schema_by_id(4711) is None
        assert list(await registry.versions("unknown")) == []
        assert await registry.schema_by_version("unknown", None) is None
        assert await registry.schema_by_version("known", 2) is None

    @pytest.mark.asyncio
    async def test_an_equal_schema_keeps_its_id_and_version(self, registry: SchemaRegistry) -> None:
        """Take schemas for equal that differ in spelling only, under whichever subject."""
        first = await registry.register("a", _order("id"))

        assert await registry.register("a", _order("id")) == first
        assert await registry.register("a", json.dumps(json.loads(_order("id")), indent=4, sort_keys=True)) == first
        assert await registry.register("b", _order("id")) == first
        assert list(await registry.versions("a")) == [1]
        assert await registry.register("c", _order("other")) != first

    @pytest.mark.asyncio
    async def test_a_compatible_schema_is_the_next_version(self, registry: SchemaRegistry) -> None:
        """Count versions from 1 without gaps; a schema that is known stays what it was."""
        first = await registry.register("a", _order("id"))

        second = await registry.register("a", _grown(default=""))

        latest = await registry.schema_by_version("a", None)
        assert latest is not None
        assert latest[:2] == (second, 2)
        assert list(await registry.versions("a")) == [1, 2]
        assert await registry.register("a", _order("id")) == first
        assert list(await registry.versions("a")) == [1, 2]

    @pytest.mark.asyncio
    async def test_an_incompatible_schema_is_refused_with_the_reason(self, registry: SchemaRegistry) -> None:
        """Keep what could not read older records from becoming the latest."""
        await registry.register("a", _order("id"))

        with pytest.raises(IncompatibleSchemaException, match="note"):
            await registry.register("a", _grown())

        assert list(await registry.versions("a")) == [1]

    @pytest.mark.asyncio
    @pytest.mark.parametrize("text", ['{"type": "strange"}', '{"type": "record", "fields": []}', '"Missing"'])
    async def test_what_is_no_schema_is_refused(self, registry: SchemaRegistry, text: str) -> None:
        """Store nothing of it, not even its subject."""
        with pytest.raises(InvalidSchemaException) as raised:
            await registry.register("a", text)

        assert isinstance(raised.value, ConfigurationException)
        assert list(await registry.subjects()) == []

    @pytest.mark.asyncio
    async def test_a_schema_is_found_or_it_is_said_why_it_would_be_refused(self, registry: SchemaRegistry) -> None:
        """Say under which id and version a subject has a schema, or what speaks against it, and store nothing."""
        assert await registry.find("a", _order("id")) is None
        assert await registry.refusal("a", _order("id")) is None

        first = await registry.register("a", _order("id"))
        second = await registry.register("a", _grown(default=""))

        assert await registry.find("a", _order("id")) == (first, 1)
        assert await registry.find("a", _grown(default="")) == (second, 2)
        assert await registry.find("b", _order("id")) is None
        assert await registry.refusal("a", _grown(default="")) is None
        assert "a: " in str(await registry.refusal("a", _order("other")))
        assert "a: " in str(await registry.refusal("a", '{"type": "strange"}'))
        assert list(await registry.versions("a")) == [1, 2]

    @pytest.mark.asyncio
    async def test_a_subject_may_have_any_name(self, registry: SchemaRegistry) -> None:
        """Keep names apart that differ in any character, those of an address too."""
        subjects = ("a/b c", "ümlaut", "a%2Fb", "versions", "x/versions/1")
        for subject in subjects:
            schema_id = await registry.register(subject, _order("id"))
            found = await registry.schema_by_version(subject, None)
            assert found is not None
            assert found[:2] == (schema_id, 1)
            assert list(await registry.versions(subject)) == [1]
        assert list(await registry.subjects()) == sorted(subjects)


def _order(*fields: str) -> str:
    described = [{"name": field, "type": "string"} for field in fields]
    return json.dumps({"type": "record", "name": "orders.Created", "fields": described})


def _grown(**default: object) -> str:
    fields = [{"name": "id", "type": "string"}, {"name": "note", "type": "string", **default}]
    return json.dumps({"type": "record", "name": "orders.Created", "fields": fields})
