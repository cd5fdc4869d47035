"""A service refuses a database of an unknown version and says what to type; it migrates its own file itself."""

import sqlite3
from pathlib import Path

import pytest

from cqrs.exceptions import ConfigurationException
from cqrs.sql.migrating import migrate
from service.adapters.schema import MIGRATIONS
from service.bootstrap import order_service
from tests.scenario.deployment import deployed, settings_in

pytestmark = pytest.mark.asyncio


async def refusal(folder: Path, url: str, **changed: object) -> str:
    with pytest.raises(ConfigurationException) as refused:
        await order_service(settings_in(folder, database_url=url, **changed)).start()
    return str(refused.value)


async def test_a_given_database_is_migrated_when_told_and_not_before(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/given.db"

    assert "has no tables of this service yet. To bring it to 0001: python -m service migrate up" in await refusal(
        tmp_path, url
    )

    await migrate(url, MIGRATIONS)
    async with deployed(order_service(settings_in(tmp_path, database_url=url))) as found:
        found.create("o-1")
        assert len(await found.events(1)) == 1


async def test_one_of_a_later_release_is_refused_unless_a_word_allows_it(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/given.db"
    await migrate(url, MIGRATIONS)
    with sqlite3.connect(tmp_path / "given.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()

    assert "at version 9999, which this release (at 0001) does not know" in await refusal(tmp_path, url)

    allowed = settings_in(tmp_path, database_url=url, database_schema="allow_newer")
    async with deployed(order_service(allowed)) as found:
        found.create("o-1")
        assert len(await found.events(1)) == 1


async def test_the_file_of_a_laptop_is_brought_along_with_its_orders(tmp_path: Path) -> None:
    async with deployed(order_service(settings_in(tmp_path))) as found:
        found.create("o-1")
        await found.events(1)
    with sqlite3.connect(tmp_path / "service.db") as connection:
        connection.execute("DROP TABLE alembic_version")  # as the last release without migrations left it
    connection.close()

    async with deployed(order_service(settings_in(tmp_path))) as found:
        found.create("o-1")
        (letter,) = await found.letters(1)

    assert b"OrderExists" in (dict(letter.headers)["kafka_dlt-exception-cause-fqcn"] or b"")
