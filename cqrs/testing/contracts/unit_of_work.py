"""What `UnitOfWork` promises: `class TestMyUnitOfWork(UnitOfWorkContract)` with a fixture `store`."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

import pytest

from cqrs.command.unit_of_work import UnitOfWork
from cqrs.testing.contracts.contract import Contract


class Store(Protocol):
    """Be a store of numbers, each at most once, that is written in its unit of work.

    Attributes:
        unit_of_work: What is tested.
    """

    @property
    def unit_of_work(self) -> UnitOfWork:
        """Return what is tested."""
        ...

    async def write(self, number: int) -> None:
        """Write a number in the unit of work that is open.

        Raises:
            Exception: it is there already. A store whose writes are pending until later may leave that to `prepare`.
        """
        ...

    async def written(self) -> Sequence[int]:
        """Return what there is, in order: the committed, and what the caller's own open unit of work has written."""
        ...


class UnitOfWorkContract(Contract):
    """Hold a `UnitOfWork` to its port; needs a fixture `store`, a `Store` that is empty for each test."""

    @pytest.mark.asyncio
    async def test_leaving_the_block_commits(self, store: Store) -> None:
        """Keep what was written."""
        async with store.unit_of_work.begin():
            await store.write(1)
            await store.write(2)

        assert list(await store.written()) == [1, 2]

    @pytest.mark.asyncio
    async def test_before_the_end_of_the_block_nobody_else_sees_anything(self, store: Store) -> None:
        """Show to the block what it wrote, and to no other task."""
        async with store.unit_of_work.begin():
            await store.write(1)
            assert list(await store.written()) == [1]
            assert list(await asyncio.create_task(store.written())) == []

    @pytest.mark.asyncio
    @pytest.mark.parametrize("error", [KeyError("k"), ConnectionRefusedError("elsewhere"), TimeoutError()], ids=repr)
    async def test_an_exception_rolls_back_and_goes_on_as_it_is(self, store: Store, error: Exception) -> None:
        """Undo everything, and say nothing else than the block did: not every lost connection is the database's."""
        with pytest.raises(type(error)) as caught:
            await _write_and_raise(store, 1, error)

        assert caught.value is error
        assert list(await store.written()) == []

    @pytest.mark.asyncio
    async def test_cancellation_rolls_back_and_leaves_the_store_usable(self, store: Store) -> None:
        """Undo what a handler did that was cut off."""
        inside = asyncio.Event()

        async def run() -> None:
            async with store.unit_of_work.begin():
                await store.write(1)
                inside.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(run())
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert list(await store.written()) == []
        async with store.unit_of_work.begin():
            await store.write(1)
        assert list(await store.written()) == [1]

    @pytest.mark.asyncio
    async def test_a_nested_one_that_fails_undoes_only_itself(self, store: Store) -> None:
        """Let a command be sent from inside another's handler, and fail."""
        async with store.unit_of_work.begin():
            await store.write(1)
            with pytest.raises(KeyError):
                await _write_and_raise(store, 2, KeyError())
            async with store.unit_of_work.begin():
                await store.write(3)
                async with store.unit_of_work.begin():
                    await store.write(4)

        assert list(await store.written()) == [1, 3, 4]

    @pytest.mark.asyncio
    async def test_a_write_that_the_store_refuses_undoes_its_own_unit_alone(self, store: Store) -> None:
        """Go on in the outer one after an error of the store itself."""
        async with store.unit_of_work.begin():
            await store.write(1)
            with pytest.raises(Exception):  # noqa: B017, PT011 - each store has an error of its own
                await _write_and_raise(store, 1, AssertionError("the same number was written twice"))
            await store.write(2)

        assert list(await store.written()) == [1, 2]

    @pytest.mark.asyncio
    async def test_what_is_prepared_commits_also_when_an_error_of_the_store_was_caught(self, store: Store) -> None:
        """Say before the commit that it cannot succeed; a store that goes on after a refused write keeps the others."""
        is_prepared = False
        with suppress(Exception):
            async with store.unit_of_work.begin():
                await store.write(1)
                with suppress(Exception):
                    await store.write(1)
                await store.write(2)
                await store.unit_of_work.prepare()
                is_prepared = True

        assert list(await store.written()) == ([1, 2] if is_prepared else [])

    @pytest.mark.asyncio
    async def test_an_error_that_a_nested_one_undid_is_in_nobodys_way(self, store: Store) -> None:
        """Let a handler try something in a unit of its own, and go on when it is refused."""
        async with store.unit_of_work.begin():
            await store.write(1)
            with pytest.raises(Exception):  # noqa: B017, PT011 - each store has an error of its own
                await _write_and_raise(store, 1, AssertionError("the same number was written twice"))
            await store.unit_of_work.prepare()

        assert list(await store.written()) == [1]

    @pytest.mark.asyncio
    async def test_preparing_commits_nothing(self, store: Store) -> None:
        """Leave open what is prepared: an event that is refused then undoes it."""
        with pytest.raises(KeyError):
            await _prepare_and_raise(store, 1, KeyError())

        assert list(await store.written()) == []

    @pytest.mark.asyncio
    async def test_an_outer_one_that_fails_undoes_the_nested_ones(self, store: Store) -> None:
        """Commit nothing before the outermost block ends well."""

        async def nest() -> None:
            async with store.unit_of_work.begin():
                async with store.unit_of_work.begin():
                    await store.write(1)
                raise KeyError

        with pytest.raises(KeyError):
            await nest()

        assert list(await store.written()) == []

    @pytest.mark.asyncio
    async def test_units_of_many_tasks_never_meet(self, store: Store) -> None:
        """Give each task a unit of its own, also when all are begun before any writes; undo the failed ones alone."""

        async def run(number: int) -> None:
            async with store.unit_of_work.begin():
                await store.write(number)
                await asyncio.sleep(0)
                if number % 3 == 0:
                    raise KeyError(number)

        await asyncio.gather(*(run(number) for number in range(12)), return_exceptions=True)

        assert list(await store.written()) == [number for number in range(12) if number % 3]


async def _write_and_raise(store: Store, number: int, error: Exception) -> None:
    async with store.unit_of_work.begin():
        await store.write(number)
        raise error


async def _prepare_and_raise(store: Store, number: int, error: Exception) -> None:
    async with store.unit_of_work.begin():
        await store.write(number)
        await store.unit_of_work.prepare()
        raise error
