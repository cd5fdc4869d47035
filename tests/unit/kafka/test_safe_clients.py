"""The clients are told what the promises rest on: no commit but ours, acks of all, idempotence, read_committed."""

from functools import partial
from typing import ClassVar

import pytest

from cqrs.kafka import consumer as consuming
from cqrs.kafka import producer as producing
from cqrs.kafka.consumer import KafkaConsumer
from cqrs.kafka.producer import KafkaProducer


class Asked(BaseException):
    """End the test where a client would be made."""


class Client:
    """Take the options of a client, and be none."""

    options: ClassVar[dict[str, object]] = {}

    def __init__(self, *_: object, **options: object) -> None:
        Client.options = options
        raise Asked


class Nobody:
    async def on_assigned(self, committed: object) -> None: ...
    async def on_revoked(self, partitions: object) -> None: ...


@pytest.mark.asyncio
async def test_the_producer_asks_for_every_replica_and_repeats_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producing, "PatientProducer", Client)
    with pytest.raises(Asked):
        await KafkaProducer(bootstrap_servers="127.0.0.1:1").start()

    assert (Client.options["acks"], Client.options["enable_idempotence"]) == ("all", True)


@pytest.mark.asyncio
async def test_the_consumer_commits_nothing_by_itself_and_reads_what_is_committed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    safe = consuming._careful_client
    monkeypatch.setattr(consuming, "_careful_client", partial(Client, **safe.keywords))
    with pytest.raises(Asked):
        await KafkaConsumer(("t",), "g", bootstrap_servers="127.0.0.1:1").start(Nobody())

    assert Client.options["enable_auto_commit"] is False
    assert Client.options["isolation_level"] == "read_committed"
    assert Client.options["auto_offset_reset"] in ("earliest", "none")
