import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.chaos.orders.judge import Published, Refused, Trial
from tests.chaos.orders.model import Command, Event, Kind, Line, Order, Refusal, carry_out
from tests.chaos.orders.workload import commands_of

ITEM = Line("A", 2, Decimal("1.50"))


def asked(*kinds: str) -> Sequence[Command]:
    """Return commands for one order: create, add, cancel by the customer, stranger (cancels), bad (an item)."""
    kind_of: dict[str, Kind] = {"create": "orders.CreateOrder", "add": "orders.AddItem", "bad": "orders.AddItem"}
    return [
        Command(
            f"c{number}",
            "o",
            kind_of.get(each, "orders.CancelOrder"),
            (ITEM._replace(quantity=0) if each == "bad" else ITEM,),
            who="mallory" if each == "stranger" else "ada",
            reason=f"because of c{number}",
        )
        for number, each in enumerate(kinds)
    ]


class Service:
    """Live through commands as a service without an inbox does, at-least-once, and leave its traces."""

    def __init__(self, commands: Sequence[Command]) -> None:
        self.commands = commands
        self.published: list[Published] = []
        self.refused: list[Refused] = []
        self.kept: Order | None = None

    def run(self, number: int, *, keeps: bool = True, answers: bool = True) -> "Service":
        """Carry a command out; a crash may come before it answers, or before it keeps the state."""
        command = self.commands[number]
        after, said = carry_out(self.kept, command)
        if not answers:
            return self
        if isinstance(said, Refusal):
            self.refused.append(Refused(command.id, (said.why,), f"letters@{len(self.refused)}"))
            return self
        self.published.append(Published(command.id, f"e-{command.id}", said, f"events@{len(self.published)}"))
        if keeps:
            self.kept = after
        return self

    def trial(self) -> Trial:
        return Trial("o", self.commands, self.published, self.refused, self.kept)

    def problems(self) -> list[str]:
        return list(self.trial().problems())


def lived(commands: Sequence[Command], chance: random.Random, crashes: int) -> Service:
    """Crash so often at random moments, each time going on from an offset that was committed."""
    service, committed, number = Service(commands), 0, 0
    while number < len(commands):
        if crashes and chance.random() < 0.4:
            crashes -= 1
            fate = chance.randrange(3)
            if fate:
                service.run(number, keeps=fate == 2)
            number = committed
            continue
        service.run(number)
        number += 1
        if chance.random() < 0.5:
            committed = number
    return service


@settings(max_examples=300)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 25), crashes=st.integers(0, 6))
def test_whatever_at_least_once_may_do_is_accepted(seed: int, count: int, crashes: int) -> None:
    commands = [replace(each, order="o") for each in commands_of(seed, count)]
    orders = {each.order for each in commands_of(seed, count)}

    assert len(orders) <= 2
    one_order = [replace(each, order="o") for each in commands_of(seed, count) if each.order == min(orders)]
    assert lived(one_order, random.Random(seed), crashes).problems() == []
    assert lived(commands, random.Random(seed), crashes).problems() == []


def test_without_a_crash_everything_is_as_the_model_says() -> None:
    service = Service(asked("add", "create", "add", "bad", "stranger", "create", "cancel", "add", "cancel"))
    for number in range(9):
        service.run(number)

    assert [each.why for each in service.refused] == [
        ("OrderNotFoundException",),
        ("CqrsValidationException",),
        ("AuthorizationException",),
        ("OrderExistsException",),
        ("OrderAlreadyCancelledException",),
        ("OrderAlreadyCancelledException",),
    ]
    assert [each.event.version for each in service.published] == [1, 2, 3]
    assert service.problems() == []


def test_a_repeat_is_refused_as_a_repeat_and_an_item_is_added_again() -> None:
    service = Service(asked("create", "add", "cancel"))
    service.run(0).run(1).run(0).run(1).run(2).run(2)

    assert [each.event.version for each in service.published] == [1, 2, 3, 4]
    assert [each.why for each in service.refused] == [("OrderExistsException",), ("OrderAlreadyCancelledException",)]
    assert service.problems() == []


def test_an_event_whose_state_was_lost_gives_its_version_to_the_next_one() -> None:
    service = Service(asked("create", "add", "add"))
    service.run(0).run(1).run(2, keeps=False).run(1).run(2)

    assert [each.event.version for each in service.published] == [1, 2, 3, 3, 4]
    assert service.problems() == []


def test_one_whose_state_was_lost_may_be_refused_when_it_runs_again() -> None:
    """A repeat of the refused command before it succeeds now, and takes its version."""
    service = Service(asked("cancel", "create", "add"))
    service.run(0).run(1).run(2, keeps=False).run(0).run(1).run(2)

    assert [(each.command, each.event.version) for each in service.published] == [("c1", 1), ("c2", 2), ("c0", 2)]
    assert service.problems() == []


def test_a_state_that_was_lost_for_good_is_found() -> None:
    """The commit failed in silence, the offset went on: what the event told is nowhere."""
    service = Service(asked("create", "add", "add"))
    service.run(0).run(1, keeps=False).run(2)

    (problem,) = service.problems()
    assert problem.startswith("events@1: c1 published version 2 of o, and so did c2 at events@2")


def test_a_state_that_was_lost_again_is_found() -> None:
    service = Service(asked("create", "add", "add"))
    service.run(0).run(1, keeps=False).run(1, keeps=False).run(2)

    (problem,) = service.problems()
    assert problem.startswith("events@2: c1 published version 2 of o, and so did c2 at events@3")


def test_a_refusal_from_before_its_event_does_not_bring_a_lost_state_back() -> None:
    """The command came too early, was repeated with success after a crash, and that success was lost."""
    service = Service(asked("add", "create", "add"))
    service.run(0).run(1).run(0, keeps=False).run(1).run(2)

    assert [each.why for each in service.refused] == [("OrderNotFoundException",), ("OrderExistsException",)]
    (problem,) = service.problems()
    assert problem.startswith("events@1: c0 published version 2 of o, and so did c2 at events@2")


def run_all(*kinds: str) -> Service:
    service = Service(asked(*kinds))
    for number in range(len(kinds)):
        service.run(number)
    return service


def lose_an_event(service: Service) -> None:
    del service.published[1]


def swap_events(service: Service) -> None:
    service.published[1:3] = reversed(service.published[1:3])


def lose_the_state(service: Service) -> None:
    assert service.kept is not None
    service.kept = replace(service.kept, lines=service.kept.lines[:-1])


def lose_the_order(service: Service) -> None:
    service.kept = None


def sum_wrongly(service: Service) -> None:
    event = service.published[2].event
    service.published[2] = replace(service.published[2], event=replace(event, total=Decimal("0.01")))


def skip_a_version(service: Service) -> None:
    service.published[1] = replace(service.published[1], event=replace(service.published[1].event, version=3))


def draw_another_id(service: Service) -> None:
    service.published.append(replace(service.published[-1], id="e-other", place="events@9"))


def invent_a_command(service: Service) -> None:
    service.published.append(replace(service.published[-1], command="c99"))


def refuse_without_a_reason(service: Service) -> None:
    service.refused.append(Refused("c1", ("OrderNotFoundException",), "letters@0"))


def refuse_the_unknown(service: Service) -> None:
    service.refused.append(Refused("c99", ("OrderNotFoundException",), "letters@0"))


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lose_an_event, "version 3 of o follows version 1"),
        (swap_events, "version 3 of o follows version 1"),
        (lose_the_state, "the database keeps"),
        (lose_the_order, "the database keeps None"),
        (sum_wrongly, "makes it Event"),
        (skip_a_version, "version 3 of o follows version 1"),
        (draw_another_id, "published e-other, and at events@2 as e-c2"),
        (invent_a_command, "c99 was not sent for it"),
        (refuse_without_a_reason, "there is no such reason"),
        (refuse_the_unknown, "c99 was not sent for it"),
    ],
)
def test_what_cannot_be_is_found_and_shown(harm: Callable[[Service], None], words: str) -> None:
    service = run_all("create", "add", "add")
    assert service.problems() == []

    harm(service)

    assert words in "\n".join(service.problems())


def test_a_refusal_that_only_a_later_state_explains_is_found() -> None:
    """The second command ran before the first one: it found no order."""
    service = Service(asked("create", "add", "cancel"))
    service.run(0).run(2)
    service.refused.append(Refused("c1", ("OrderNotFoundException",), "letters@0"))
    assert any("there is no such reason" in each for each in service.problems())

    service.refused[0] = Refused("c1", ("OrderAlreadyCancelledException",), "letters@0")
    assert any("there is no such reason" in each for each in service.problems())


def test_a_state_without_its_event_is_found_by_the_refusal_of_the_repeat() -> None:
    """The state was kept, the process died, the event was never sent; the repeat is refused, and nobody sees why."""
    service = Service(asked("create"))
    service.kept, _ = carry_out(None, service.commands[0])
    service.run(0)

    assert any("there is no such reason" in each for each in service.problems())


def test_events_know_what_they_tell() -> None:
    order, said = carry_out(None, asked("create")[0])

    assert said == Event("orders.OrderCreated", 1, Decimal("3.00"), (ITEM,))
    assert order == Order("ada", (ITEM,))
