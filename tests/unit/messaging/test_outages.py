"""What is away is told once when it begins, once when it is over, and to whoever asks meanwhile."""

import logging

import pytest

from cqrs.messaging.outages import Outages


def test_it_is_told_at_the_beginning_and_at_the_end_however_many_wait(caplog: pytest.LogCaptureFixture) -> None:
    outages = Outages()
    with caplog.at_level(logging.INFO, "cqrs.messaging.outages"):
        for number in range(3):
            outages.begin("database", ConnectionError(f"refused {number}"))
        assert outages.reason == "3 records wait for database: refused 2"
        for _ in range(3):
            outages.end("database")
    assert str(outages.reason) == "None"
    assert caplog.messages == ["records wait for database: refused 0", "no record waits for database any more"]


def test_a_single_record_is_one() -> None:
    outages = Outages()
    outages.begin("registry", ConnectionError("refused"))
    assert outages.reason == "1 record waits for registry: refused"
