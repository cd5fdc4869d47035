from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from cqrs.avro.model import parse
from cqrs.testing.avro_json import from_json

DECIMAL = '{"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}'
MILLIS = '{"type": "long", "logicalType": "timestamp-millis"}'
MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("schema", "value", "read"),
    [
        (DECIMAL, "9.99", Decimal("9.99")),
        (DECIMAL, 5, Decimal(5)),
        (DECIMAL, 9.99, Decimal("9.99")),
        (DECIMAL, "much", "much"),
        (DECIMAL, True, True),
        (DECIMAL, None, None),
        (MILLIS, "2026-01-02T03:04:05Z", MOMENT),
        (MILLIS, "2026-01-02T03:04:05", MOMENT),
        (MILLIS, MOMENT, MOMENT),
        (MILLIS, "soon", "soon"),
        ('{"type": "int", "logicalType": "date"}', "2026-01-02", date(2026, 1, 2)),
        ('{"type": "string", "logicalType": "uuid"}', str(UUID(int=7)), UUID(int=7)),
        ('"bytes"', "hi", b"hi"),
        ('"string"', "2026-01-02", "2026-01-02"),
        ('"int"', "7", "7"),
        (f'["null", {DECIMAL}]', "9.99", Decimal("9.99")),
        (f'["null", {DECIMAL}]', None, None),
        ('["null", "string"]', "x", "x"),
        (f'{{"type": "array", "items": {DECIMAL}}}', ["1", "x"], [Decimal(1), "x"]),
        (f'{{"type": "array", "items": {DECIMAL}}}', "12", "12"),
        (f'{{"type": "map", "values": {DECIMAL}}}', {"a": "1"}, {"a": Decimal(1)}),
    ],
)
def test_text_becomes_what_the_schema_means_and_the_rest_stays(schema: str, value: object, read: object) -> None:
    assert from_json(parse(schema).root, value) == read


def test_records_are_read_field_by_field_and_unknown_fields_are_left_for_the_writer() -> None:
    schema = parse(f'{{"type": "record", "name": "R", "fields": [{{"name": "n", "type": {DECIMAL}}}]}}')

    assert from_json(schema.root, {"n": "1.5", "other": "1.5"}) == {"n": Decimal("1.5"), "other": "1.5"}
