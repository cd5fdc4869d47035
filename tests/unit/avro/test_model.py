import json

import pytest

from cqrs.avro.model import MAX_SCHEMA_BYTES, parse

ORDER = {
    "type": "record",
    "name": "Order",
    "namespace": "shop",
    "aliases": ["OldOrder", "legacy.Order"],
    "fields": [
        {"name": "id", "type": {"type": "string", "logicalType": "uuid"}},
        {
            "name": "price",
            "aliases": ["cost"],
            "default": "\u0000",
            "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2},
        },
        {"name": "colour", "type": {"type": "enum", "name": "Colour", "symbols": ["RED"], "default": "RED"}},
        {"name": "lines", "type": {"type": "array", "items": {"type": "record", "name": "Line", "fields": []}}},
        {"name": "first", "type": ["null", "Line"]},
        {"name": "hash", "type": {"type": "fixed", "name": "md.Five", "size": 16}},
        {"name": "extra", "type": {"type": "map", "values": {"type": "int"}}},
    ],
}


def test_a_schema_becomes_a_graph() -> None:
    schema = parse(json.dumps(ORDER))
    fields = {field.name: field for field in schema.root.fields}

    assert schema.name == "shop.Order"
    assert schema.root.aliases == ("shop.OldOrder", "legacy.Order")
    assert fields["id"].node.logical == "uuid"
    assert (fields["price"].aliases, fields["price"].has_default) == (("cost",), True)
    assert fields["price"].node.label == "decimal(12,2)"
    assert (fields["colour"].node.symbols, fields["colour"].node.default_symbol) == (("RED",), "RED")
    assert fields["lines"].node.items is fields["first"].node.branches[1]
    assert fields["first"].node.label == "null | shop.Line"
    assert fields["hash"].node.size == 16
    assert fields["extra"].node.items is not None
    assert fields["extra"].node.items.kind == "int"


def test_a_recursive_schema_reaches_itself() -> None:
    root = parse('{"type": "record", "name": "R", "fields": [{"name": "next", "type": ["null", "R"]}]}').root

    assert root.fields[0].node.branches[1] is root


def test_spacing_and_order_of_keys_make_no_difference() -> None:
    assert (
        parse('{"name":"R", "type" : "record","fields":[]}').text
        == parse('{"type": "record", "fields": [], "name": "R"}').text
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "Expecting value"),
        ("{", "Expecting"),
        ('{"type": "record", "name": "R", "name": "S", "fields": []}', "stands twice"),
        ("[" * 50_000, "nested deeper"),
        ('{"type": "array", "items": ' * 5_000, "nested deeper"),
        ('{"type": "array", "items": ' * 50_000, "more than the"),
        (" " * MAX_SCHEMA_BYTES + '"int"', "more than the"),
        ('"strange"', "not an Avro schema"),
        ('{"type": "record"}', "not an Avro schema"),
        ('{"type": "record", "name": "R", "fields": 5}', "not an Avro schema"),
        ('{"type": "record", "name": "1 R", "fields": []}', "not an Avro schema"),
        ('{"type": "record", "name": "R", "fields": [{"name": "f", "type": "Missing"}]}', "not an Avro schema"),
        ('{"type": "error", "name": "R", "fields": [{"name": "f", "type": "int"}]}', "cannot be used in a message"),
        ('{"type": "bytes", "logicalType": "decimal", "precision": "x"}', "not an Avro schema"),
        ("5", "not an Avro schema"),
        ("null", "not an Avro schema"),
    ],
)
def test_what_is_no_schema_is_a_value_error(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse(text)
