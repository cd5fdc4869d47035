from collections import Counter

import pytest

from tests.chaos.orders.model import DENIED, INVALID, MISSING, OVER, TAKEN, Order, Refusal, carry_out
from tests.chaos.orders.records import record_of
from tests.chaos.orders.workload import by_order, commands_of


def test_a_seed_always_gives_the_same_and_another_one_something_else() -> None:
    assert commands_of(7, 500) == commands_of(7, 500)
    assert [each.data() for each in commands_of(7, 500, "x")] != [each.data() for each in commands_of(8, 500, "x")]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_most_commands_are_right_and_every_refusal_is_among_the_rest(seed: int) -> None:
    said: Counter[str] = Counter()
    for commands in by_order(commands_of(seed, 10_000)).values():
        order: Order | None = None
        for command in commands:
            order, outcome = carry_out(order, command)
            said[outcome.why if isinstance(outcome, Refusal) else outcome.kind] += 1

    refused = {each: count for each, count in said.items() if each.endswith("Exception")}
    assert 0.2 < sum(refused.values()) / 10_000 < 0.6
    assert set(refused) == {INVALID, DENIED, TAKEN, MISSING, OVER}
    assert min(refused.values()) > 50
    assert all(said[f"orders.{each}"] > 200 for each in ("OrderCreated", "ItemAdded", "OrderCancelled"))


def test_many_keys_and_each_command_with_an_id_of_its_own() -> None:
    commands = commands_of(1, 10_000)

    assert len(by_order(commands)) == 1_000
    assert len({each.id for each in commands}) == 10_000


def test_a_record_is_keyed_by_its_order_and_carries_the_commands_id() -> None:
    command = commands_of(1, 1)[0]

    key, _, headers = record_of(command)

    assert key == command.order.encode()
    assert ("ce_id", command.id.encode()) in headers
