"""Commands for many orders, drawn from a seed: most are right, some of each kind must be refused."""

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from tests.chaos.orders.model import Command, Kind, Line, Order, carry_out

CREATE: Kind = "orders.CreateOrder"
ADD: Kind = "orders.AddItem"
CANCEL: Kind = "orders.CancelOrder"

COMMANDS_PER_ORDER = 10

# What is drawn for an order that is not there yet, that stands, that is cancelled: kind, whether it is right, weight.
_ABSENT = ((CREATE, True, 80), (CREATE, False, 8), (ADD, True, 6), (CANCEL, True, 6))
_OPEN = ((ADD, True, 72), (ADD, False, 6), (CREATE, True, 6), (CANCEL, False, 6), (CANCEL, True, 10))
_CANCELLED = ((ADD, True, 40), (CANCEL, True, 30), (CREATE, True, 30))


def commands_of(seed: int, count: int, prefix: str = "") -> Sequence[Command]:
    """Return `count` commands, always the same for a seed; ids and orders begin with `prefix`."""
    return list(_drawn(random.Random(seed), count, prefix or f"s{seed}"))


def by_order(commands: Sequence[Command]) -> Mapping[str, Sequence[Command]]:
    """Return the commands of each order, in order."""
    found: defaultdict[str, list[Command]] = defaultdict(list)
    for command in commands:
        found[command.order].append(command)
    return found


def _drawn(chance: random.Random, count: int, prefix: str) -> Iterator[Command]:
    orders: dict[str, Order | None] = {}
    names = [f"{prefix}-o{number}" for number in range(max(count // COMMANDS_PER_ORDER, 1))]
    for number in range(count):
        name = chance.choice(names)
        before = orders.get(name)
        command = _command(chance, f"{prefix}-{number}", name, before)
        orders[name], _ = carry_out(before, command)
        yield command


def _command(chance: random.Random, own_id: str, name: str, order: Order | None) -> Command:
    table = _ABSENT if order is None else _OPEN if order.cancelled is None else _CANCELLED
    kind, right, _ = chance.choices(table, [weight for *_, weight in table])[0]
    customer = f"c-{name}"
    if kind == CANCEL:
        who = chance.choice((customer, "admin")) if right else "mallory"
        return Command(own_id, name, kind, who=who, reason=f"because of {own_id}")
    lines = tuple(_line(chance, right) for _ in range(chance.randint(1, 3) if kind == CREATE else 1))
    return Command(own_id, name, kind, lines, who=customer)


def _line(chance: random.Random, right: bool) -> Line:
    quantity, price = chance.randint(1, 9), Decimal(chance.randint(0, 99_999)).scaleb(-2)
    if right:
        return Line(f"sku-{chance.randint(1, 500)}", quantity, price)
    return Line("sku-0", *chance.choice(((0, price), (-quantity, price), (quantity, Decimal("-0.01")))))
