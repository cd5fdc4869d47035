import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from cqrs.avro.file_registry import FileSchemaRegistry
from cqrs.exceptions import ConfigurationException, DependencyUnavailableException
from cqrs.messaging.schemas import IncompatibleSchemaException

A = '{"type": "record", "name": "A", "fields": []}'
B = '{"type": "record", "name": "B", "fields": []}'


def numbered(number: int) -> str:
    return json.dumps({"type": "record", "name": f"R{number}", "fields": []})


@pytest.mark.asyncio
async def test_ids_survive_a_restart(tmp_path: Path) -> None:
    first = FileSchemaRegistry(tmp_path / "registry")
    ids = [await first.register("a", A), await first.register("b", B)]

    second = FileSchemaRegistry(tmp_path / "registry")

    assert [await second.schema_by_id(each) for each in ids] == [A, B]
    assert [await second.register("a", A), await second.register("b", B)] == ids
    assert await second.subjects() == ["a", "b"]


@pytest.mark.asyncio
async def test_two_registries_on_one_folder_agree(tmp_path: Path) -> None:
    one, other = FileSchemaRegistry(tmp_path), FileSchemaRegistry(tmp_path)
    assert await other.subjects() == []

    assert [await one.register("a", A), await other.register("b", B), await one.register("c", A)] == [1, 2, 1]

    assert list(await one.subjects()) == list(await other.subjects()) == ["a", "b", "c"]
    assert await one.schema_by_id(2) == B


@pytest.mark.asyncio
async def test_registering_at_the_same_time_gives_each_schema_one_id(tmp_path: Path) -> None:
    registries = [FileSchemaRegistry(tmp_path) for _ in range(3)]

    ids = await asyncio.gather(
        *(registry.register(f"s{number}", numbered(number)) for number in range(10) for registry in registries)
    )

    assert sorted(set(ids)) == list(range(1, 11))
    assert all(len(set(ids[start : start + 3])) == 1 for start in range(0, 30, 3))


def test_threads_with_their_own_loops_may_share_one(tmp_path: Path) -> None:
    registry = FileSchemaRegistry(tmp_path)
    threads = [
        threading.Thread(target=lambda number=number: asyncio.run(registry.register(f"s{number}", numbered(number))))
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(asyncio.run(registry.subjects())) == 8


@pytest.mark.asyncio
@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 2}', '{"format": 1, "schemas": 5, "subjects": {}}'])
async def test_a_damaged_file_is_told_and_kept(tmp_path: Path, content: str) -> None:
    file = tmp_path / "schemas.json"
    file.write_text(content)

    with pytest.raises(ConfigurationException, match=r"schemas.json is not a state .* delete it"):
        await FileSchemaRegistry(tmp_path).register("a", A)
    assert file.read_text() == content


@pytest.mark.asyncio
async def test_a_folder_that_cannot_be_written_is_away(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(DependencyUnavailableException, match="cannot be"):
        await FileSchemaRegistry(tmp_path / "file").register("a", A)


@pytest.mark.asyncio
async def test_a_write_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = FileSchemaRegistry(tmp_path)
    await registry.register("a", A)

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(DependencyUnavailableException, match="No space left"):
        await registry.register("b", B)
    monkeypatch.undo()

    assert await registry.subjects() == ["a"]
    assert await registry.register("c", B) == 2


@pytest.mark.asyncio
async def test_recursive_schemas_are_kept_and_compared() -> None:
    registry = FileSchemaRegistry()
    tree: dict[str, Any] = {"type": "record", "name": "T", "fields": [{"name": "next", "type": ["null", "T"]}]}
    grown = {**tree, "fields": [*tree["fields"], {"name": "v", "type": "int", "default": 0}]}
    broken = {**tree, "fields": [*tree["fields"], {"name": "v", "type": "string"}]}

    assert await registry.register("t", json.dumps(tree)) == 1
    assert await registry.register("t", json.dumps(grown)) == 2
    with pytest.raises(IncompatibleSchemaException, match="v: int cannot be read as string"):
        await registry.register("t", json.dumps(broken))
