"""A record goes to the partition of its number, or, where there is none, where all others of its partition go."""

import pytest

from cqrs.exceptions import NoSuchPartitionException, UnpublishableEventException
from cqrs.messaging.message import OutgoingMessage
from cqrs.messaging.placing import send_beside
from cqrs.testing.memory import MemoryBroker, MemoryProducer


@pytest.mark.parametrize(("wanted", "found"), [(0, 0), (2, 2), (3, 0), (5, 2), (None, 2)])
@pytest.mark.asyncio
async def test_each_partition_has_its_place(wanted: int | None, found: int) -> None:
    producer = MemoryProducer(MemoryBroker({"t-dlt": 3}))
    receipts = [await send_beside(producer, OutgoingMessage("t-dlt", b"1", b"v", (), wanted)) for _ in range(2)]
    assert [each.partition for each in receipts] == [found, found]


@pytest.mark.asyncio
async def test_a_number_that_is_none_and_a_topic_that_is_missing_stay_refused() -> None:
    producer = MemoryProducer(MemoryBroker({"t-dlt": 3}))
    with pytest.raises(NoSuchPartitionException):
        await send_beside(producer, OutgoingMessage("t-dlt", None, b"v", (), -1))
    with pytest.raises(UnpublishableEventException, match="does not exist"):
        await send_beside(producer, OutgoingMessage("other", None, b"v", (), 1))
