"""Our unit of work keeps the contract, on SQLite and on PostgreSQL."""

from collections.abc import Sequence

import pytest_asyncio
from sqlalchemy import Column, Integer, MetaData, Table, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from cqrs.sql.schema import create_tables
from cqrs.sql.unit_of_work import SqlUnitOfWork
from cqrs.testing.contracts.unit_of_work import Store, UnitOfWorkContract

METADATA = MetaData()
NUMBERS = Table("numbers", METADATA, Column("number", Integer, primary_key=True))


class SqlStore:
    def __init__(self, engine: AsyncEngine) -> None:
        self.unit_of_work = SqlUnitOfWork(engine)

    async def write(self, number: int) -> None:
        await self.unit_of_work.session.execute(insert(NUMBERS).values(number=number))

    async def written(self) -> Sequence[int]:
        async with self.unit_of_work.reading() as session:
            return (await session.scalars(select(NUMBERS.c.number).order_by(NUMBERS.c.number))).all()


class TestSqlUnitOfWork(UnitOfWorkContract):
    @pytest_asyncio.fixture
    async def store(self, engine: AsyncEngine) -> Store:
        await create_tables(engine, METADATA)
        return SqlStore(engine)
