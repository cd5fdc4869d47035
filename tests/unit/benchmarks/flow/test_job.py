import json

import pytest

from benchmarks.flow.job import COMMAND, KEYS, ORDER_COMMAND, Clock, command, command_id


def test_the_same_command_is_the_same_again_and_no_two_share_an_id_or_a_trace() -> None:
    made = [command(number, series) for series in range(2) for number in range(1_200)]
    headers = [dict(each.headers) for each in made]

    assert made[7] == command(7, 0)
    assert len({each["ce_id"] for each in headers}) == len({each["traceparent"] for each in headers}) == len(made)
    assert len({each["ce_correlationid"] for each in headers}) == len(made)
    assert len({each.key for each in made}) == KEYS


def test_a_command_carries_its_id_its_type_and_a_sampled_trace() -> None:
    made = command(3, 1)
    headers = dict(made.headers)

    assert headers["ce_id"].decode() == command_id(3, 1)
    assert headers["ce_type"].decode() == COMMAND
    assert headers["traceparent"][:3] + headers["traceparent"][-3:] == b"00--01"
    assert json.loads(made.value) == {"order_id": "order-3", "customer": "customer-3", "amount": 3}


def test_a_command_for_the_order_service_is_of_an_order_of_its_own() -> None:
    orders = [command(number, series, "order") for series in range(2) for number in range(50)]

    assert len({each.key for each in orders}) == 100
    assert dict(orders[0].headers)["ce_type"].decode() == ORDER_COMMAND


@pytest.mark.asyncio
async def test_the_clock_measures_from_the_tenth_part_to_the_last_message() -> None:
    clock = Clock(100)
    running = []
    for messages in (9, 1, 90):
        clock.count(messages)
        running.append(clock.is_running)

    measured, cpu, duration = clock.measured()
    assert running == [False, True, False]
    assert measured == 90
    assert cpu >= 0
    assert duration > 0
    assert clock.finished.is_set()


@pytest.mark.parametrize(("counts", "said"), [([50], "50 of 100"), ([100], "1 stamps")])
def test_a_turn_that_was_not_timed_is_an_error(counts: list[int], said: str) -> None:
    clock = Clock(100)
    for each in counts:
        clock.count(each)

    with pytest.raises(RuntimeError, match=said):
        clock.measured()
