import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from cqrs.avro.schemas import AvroSchemas
from cqrs.exceptions import ConfigurationException, UndecodableMessageException

SHIPPED = Path(__file__).parents[3] / "schemas"


def write(folder: Path, name: str, schema: object) -> Path:
    path = folder / f"{name}.avsc"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(schema if isinstance(schema, str) else json.dumps(schema))
    return path


def record(name: str, **fields: object) -> dict[str, object]:
    return {"type": "record", "name": name, "fields": [{"name": n, "type": t} for n, t in fields.items()]}


def test_the_shipped_contract_is_the_one_that_is_promised() -> None:
    assert AvroSchemas.load(SHIPPED).names == (
        "orders.AddItem",
        "orders.CancelOrder",
        "orders.CreateOrder",
        "orders.ItemAdded",
        "orders.OrderCancelled",
        "orders.OrderCreated",
    )


def test_every_part_of_the_shipped_contract_is_documented() -> None:
    for path in SHIPPED.rglob("*.avsc"):
        schema = json.loads(path.read_text())
        assert schema["doc"]
        assert all(field["doc"] for field in schema["fields"])


@dataclass
class Named:
    event_type: ClassVar[str] = "shop.Named"
    number: int


@dataclass
class Nameless:
    number: int


def test_schemas_are_found_by_the_name_a_class_declares(tmp_path: Path) -> None:
    write(tmp_path / "deep" / "er", "shop.Named", record("shop.Named", number="int"))
    schemas = AvroSchemas.load(tmp_path)

    found = schemas.of(Named)

    assert found is not None
    assert found is schemas.get("shop.Named")
    assert schemas.of(Nameless) is None
    assert schemas.get("shop.Other") is None
    assert schemas.fitter("shop.Named")(Named(1)) == {"number": 1}


def test_the_contract_of_a_class_is_its_schema(tmp_path: Path) -> None:
    write(tmp_path, "shop.Named", record("shop.Named", number="int"))
    schemas = AvroSchemas.load(tmp_path)

    schemas.check(Named(1))
    schemas.check(Nameless(2**40))
    with pytest.raises(UndecodableMessageException, match=r"does not fit the schema shop.Named: number: "):
        schemas.check(Named(2**40))


def test_all_errors_of_a_folder_are_shown_at_once(tmp_path: Path) -> None:
    bad = [
        write(tmp_path, "a", "{"),
        write(tmp_path, "b", "5"),
        write(tmp_path, "c", '"int"'),
        write(tmp_path, "d", record("misnamed.D")),
        write(tmp_path / "y", "e.E", record("e.E")),
        tmp_path / "g.avsc",
    ]
    write(tmp_path / "x", "e.E", record("e.E"))
    bad[-1].write_bytes(b"\xff")

    with pytest.raises(ConfigurationException) as raised:
        AvroSchemas.load(tmp_path)

    assert len(raised.value.problems) == len(bad)
    assert all(any(str(path) in problem for problem in raised.value.problems) for path in bad)
    assert "name the file misnamed.D.avsc" in str(raised.value)
    assert "already defined by" in str(raised.value)


def test_schemas_that_cannot_be_served_safely_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "R", record("R", next=["null", "R"]))
    write(tmp_path, "S", record("S", at={"type": "int", "logicalType": "time-millis"}))
    write(tmp_path, "T", record("T", all={"type": "array", "items": "null"}))

    with pytest.raises(ConfigurationException) as raised:
        AvroSchemas.load(tmp_path)

    assert [problem.split(":")[0] for problem in raised.value.problems] == ["schema R", "schema S", "schema T"]


def test_an_unreadable_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "folder.avsc").mkdir()

    with pytest.raises(ConfigurationException, match="cannot be read"):
        AvroSchemas.load(tmp_path)


def test_a_folder_without_schemas_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationException, match=r"nowhere is no folder; SCHEMAS_PATH names"):
        AvroSchemas.load(tmp_path / "nowhere")
    with pytest.raises(ConfigurationException, match=r"has no \.avsc file; SCHEMAS_PATH names"):
        AvroSchemas.load(tmp_path)
