"""What `TopicReader` promises: `class TestMyReader(TopicReaderContract)` with a fixture `transport`."""

import asyncio

import pytest

from cqrs.exceptions import DependencyUnavailableException
from cqrs.messaging.invalidation import TopicReader
from cqrs.messaging.message import Message
from cqrs.testing.contracts.contract import SECONDS, Contract
from cqrs.testing.contracts.transport import POLL_SECONDS, Transport, message, patiently_send, send_all


class TopicReaderContract(Contract):
    """Hold a `TopicReader` to its port; needs a fixture `transport`, a `Transport`."""

    @pytest.mark.asyncio
    async def test_it_reads_from_the_end_on_and_says_that_it_missed_what_was_before(self, transport: Transport) -> None:
        """Return every record after the start, of every partition, in order."""
        topic = await transport.create_topic(partitions=2)
        producer, reader = transport.producer(), transport.topic_reader(topic)
        await send_all(producer, *(message(topic, b"old", partition=number % 2) for number in range(4)))
        await _begin(reader)
        await send_all(producer, *(message(topic, b"%d" % number, partition=number % 2) for number in range(20)))

        found = await _read(reader, 20)
        for partition in range(2):
            values = [each.value for each in found if each.partition == partition]
            assert values == [b"%d" % number for number in range(partition, 20, 2)]
        await reader.stop()

    @pytest.mark.asyncio
    async def test_each_reader_gets_everything(self, transport: Transport) -> None:
        """Be a member of no group."""
        topic = await transport.create_topic()
        readers = [transport.topic_reader(topic) for _ in range(2)]
        for reader in readers:
            await _begin(reader)

        await transport.producer().send(message(topic, b"v"))

        for reader in readers:
            assert [each.value for each in await _read(reader, 1)] == [b"v"]
            await reader.stop()

    @pytest.mark.asyncio
    async def test_a_broker_that_goes_away_is_reported_and_nothing_is_missed_behind_it(
        self, transport: Transport
    ) -> None:
        """Go on where reading stopped."""
        topic = await transport.create_topic()
        producer, reader = transport.producer(), transport.topic_reader(topic)
        await _begin(reader)
        await producer.send(message(topic, b"before"))

        await transport.take_away()
        with pytest.raises(DependencyUnavailableException):
            await _poll_for_ever(reader)
        await transport.bring_back()

        await patiently_send(producer, message(topic, b"after"))
        found = [each.value for each in await _read(reader, 1, until=b"after")]
        assert found in ([b"before", b"after"], [b"after"]), "before may have been read while the broker went"
        await reader.stop()

    @pytest.mark.asyncio
    async def test_a_stop_may_come_again_and_before_any_start(self, transport: Transport) -> None:
        """Be stopped at any time."""
        topic = await transport.create_topic()
        reader = transport.topic_reader(topic)
        await reader.stop()
        await reader.start()

        await reader.stop()
        await reader.stop()


async def _begin(reader: TopicReader) -> None:
    """Start it: it has nothing, and says that there may be something before."""
    await reader.start()
    first = await reader.poll(0.01)
    assert (list(first.messages), first.missed) == ([], True)


async def _poll_for_ever(reader: TopicReader) -> None:
    async with asyncio.timeout(SECONDS):
        while True:
            await reader.poll(POLL_SECONDS)


async def _read(reader: TopicReader, count: int, until: bytes | None = None) -> list[Message]:
    """Read so many records, or until one has this value; none of them may have been missed."""
    found: list[Message] = []
    async with asyncio.timeout(SECONDS):
        while len(found) < count or (until is not None and until not in [each.value for each in found]):
            try:
                reading = await reader.poll(POLL_SECONDS)
            except DependencyUnavailableException:
                continue
            assert not reading.missed
            found += reading.messages
    return found
