"""What `Producer` promises: `class TestMyProducer(ProducerContract)` with a fixture `transport`."""

import asyncio

import pytest

from cqrs.exceptions import DependencyUnavailableException, UnpublishableEventException
from cqrs.messaging.message import OutgoingMessage
from cqrs.testing.contracts.contract import Contract
from cqrs.testing.contracts.transport import (
    RecordingListener,
    Transport,
    message,
    patiently_send,
    read,
    send_all,
    values_of,
)


class ProducerContract(Contract):
    """Hold a `Producer` to its port; needs a fixture `transport`, a `Transport`."""

    @pytest.mark.asyncio
    async def test_a_receipt_says_where_the_message_lies(self, transport: Transport) -> None:
        """Return the place at which a reader finds it."""
        topic = await transport.create_topic(partitions=2)
        sent = [message(topic, b"%d" % number, partition=number % 2) for number in range(4)]

        receipts = await send_all(transport.producer(), *sent)

        assert receipts == [(topic, 0, 0), (topic, 1, 0), (topic, 0, 1), (topic, 1, 1)]
        consumer = transport.consumer(topic)
        await consumer.start(RecordingListener())
        found = {(each.partition, each.offset): each.value for each in await read(consumer, 4)}
        assert found == {(0, 0): b"0", (0, 1): b"2", (1, 0): b"1", (1, 1): b"3"}

    @pytest.mark.asyncio
    async def test_what_is_sent_is_what_is_read(self, transport: Transport) -> None:
        """Leave keys, values and headers as they are: null, empty, repeated, in order."""
        topic = await transport.create_topic()
        headers = (("a", b"1"), ("a", b"2"), ("null", None), ("", b""), ("é", b"\xff"))
        sent = [
            OutgoingMessage(topic, b"k", b"v", headers),
            OutgoingMessage(topic, b"k", None),
            OutgoingMessage(topic, None, b"\x00\xff"),
            OutgoingMessage(topic, b"", b""),
        ]

        await send_all(transport.producer(), *sent)

        consumer = transport.consumer(topic)
        await consumer.start(RecordingListener())
        found = await read(consumer, len(sent))
        assert [(each.key, each.value, each.headers) for each in found] == [
            (each.key, each.value, each.headers) for each in sent
        ]

    @pytest.mark.asyncio
    async def test_header_names_that_are_not_utf8_pass(self, transport: Transport) -> None:
        """Carry a name that other writers may give: its bytes are kept as surrogates."""
        topic = await transport.create_topic()
        headers = (("\udcff\udcfe", b"x"),)

        await transport.producer().send(OutgoingMessage(topic, b"k", b"v", headers))

        consumer = transport.consumer(topic)
        await consumer.start(RecordingListener())
        assert (await read(consumer, 1))[0].headers == headers

    @pytest.mark.asyncio
    async def test_equal_keys_share_a_partition(self, transport: Transport) -> None:
        """Keep all records of a key in one place, whichever producer sends them."""
        topic = await transport.create_topic(partitions=8)
        keys = [b"%d" % number for number in range(40)]

        first = await send_all(transport.producer(), *(message(topic, b"1", key=key) for key in keys))
        second = await send_all(transport.producer(), *(message(topic, b"2", key=key) for key in keys))

        assert [each.partition for each in first] == [each.partition for each in second]
        assert len({each.partition for each in first}) > 1, "forty keys do not share one of eight partitions"

    @pytest.mark.asyncio
    async def test_overlapping_sends_are_stored_in_the_order_of_the_calls(self, transport: Transport) -> None:
        """Keep the order of a partition, however many sends are on their way at once."""
        topic = await transport.create_topic()
        producer = transport.producer()

        receipts = await asyncio.gather(*(producer.send(message(topic, b"%d" % number)) for number in range(200)))

        assert [each.offset for each in receipts] == list(range(200))
        assert await values_of(transport, topic, 200) == [b"%d" % number for number in range(200)]

    @pytest.mark.asyncio
    async def test_a_topic_that_does_not_exist_is_refused(self, transport: Transport) -> None:
        """Say that the message is at fault: no retry will help."""
        await transport.create_topic()

        with pytest.raises(UnpublishableEventException):
            await transport.producer().send(message("no-such-topic", b"v"))

    @pytest.mark.asyncio
    async def test_a_refused_message_takes_no_other_with_it(self, transport: Transport) -> None:
        """Refuse the one that names no partition of the topic, and store those around it."""
        topic = await transport.create_topic()
        producer = transport.producer()
        partitions = [9 if number == 5 else 0 for number in range(10)]

        outcomes = await asyncio.gather(
            *(producer.send(message(topic, b"%d" % n, partition=each)) for n, each in enumerate(partitions)),
            return_exceptions=True,
        )

        refused = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, BaseException)]
        assert refused == [5]
        assert isinstance(outcomes[5], UnpublishableEventException)
        assert await values_of(transport, topic, 9) == [b"%d" % number for number in range(10) if number != 5]

    @pytest.mark.asyncio
    async def test_a_sender_that_is_cancelled_leaves_the_others_as_they_are(self, transport: Transport) -> None:
        """Store what others have sent, in order; the cancelled message may be stored or not."""
        topic = await transport.create_topic()
        producer = transport.producer()
        sends = [asyncio.create_task(producer.send(message(topic, b"%d" % number))) for number in range(10)]
        await asyncio.sleep(0)

        sends[4].cancel()

        await asyncio.gather(*sends, return_exceptions=True)
        await producer.send(message(topic, b"last"))
        consumer = transport.consumer(topic)
        await consumer.start(RecordingListener())
        found: list[bytes | None] = []
        while b"last" not in found:
            found += [each.value for each in await read(consumer, 1)]
        assert [each for each in found if each != b"4"] == [*(b"%d" % n for n in range(10) if n != 4), b"last"]

    @pytest.mark.asyncio
    async def test_without_an_acknowledgement_the_broker_is_away_until_it_is_back(self, transport: Transport) -> None:
        """Never return before the broker's word; send again when it is back."""
        topic = await transport.create_topic()
        producer = transport.producer()
        await producer.send(message(topic, b"before"))

        await transport.take_away()
        with pytest.raises(DependencyUnavailableException):
            await producer.send(message(topic, b"given up"))
        await transport.bring_back()

        await patiently_send(producer, message(topic, b"after"))
        found = await values_of(transport, topic, 2)
        assert [each for each in found if each != b"given up"] == [b"before", b"after"]
