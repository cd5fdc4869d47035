"""Commands and queries: metadata that is fixed at creation, whatever the class is made of."""

import copy
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, ClassVar, Generic, TypeVar, cast
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict
from pydantic.dataclasses import dataclass as pydantic_dataclass

from cqrs.authorization.types import AuthorizationResult
from cqrs.context.execution_context import DefaultExecutionContext
from cqrs.types import (
    Command,
    Query,
    declared_aliases,
    declared_name,
    message_name,
    message_type,
    overrides_hook,
    restore_metadata,
)
from cqrs.validation.types import ValidationResult

T = TypeVar("T")


class Bare(Query[str]):
    pass


@dataclass(frozen=True)
class Frozen(Command[str]):
    x: int = 1


@dataclass(frozen=True, slots=True)
class FrozenSlotted(Command[str]):
    x: int = 1


@dataclass
class Ordinary(Command[str]):
    x: int = 1


@dataclass(slots=True)
class Slotted(Command[str]):
    x: int = 1


class Plain(Command[str]):
    def __init__(self, x: int = 1) -> None:  # does not call super().__init__()
        self.x = x


class ModelFirst(BaseModel, Command[str]):  # type: ignore[misc]  # BaseModel.validate is another thing
    model_config = ConfigDict(frozen=True, extra="forbid")
    x: int = 1


class CommandFirst(Command[str], BaseModel):  # type: ignore[misc]
    x: int = 1


class OwnInit(BaseModel, Command[str]):  # type: ignore[misc]
    x: int = 1

    def __init__(self, x: int = 7, **rest: object) -> None:
        super().__init__(x=x, **rest)


class Inherited(OwnInit):
    y: int = 2


@pydantic_dataclass
class Validated(Command[str]):
    x: int = 1


class Wrapping(Command[T], Generic[T]):
    def __init__(self, x: int = 1) -> None:
        self.x = x


KINDS: list[Callable[..., Command[str]]] = [
    Frozen,
    FrozenSlotted,
    Ordinary,
    Slotted,
    Plain,
    ModelFirst,
    CommandFirst,
    OwnInit,
    Inherited,
    Validated,
    Wrapping[str],
]


def pickled(command: Command[str]) -> Command[str]:
    return cast("Command[str]", pickle.loads(pickle.dumps(command)))  # noqa: S301 - what this very test pickled


every_kind = pytest.mark.parametrize("kind", KINDS, ids=str)


@every_kind
def test_id_and_time_are_fixed_at_creation_not_at_first_read(kind: Callable[..., Command[str]]) -> None:
    before = datetime.now(UTC)
    command = kind(x=1)
    after = datetime.now(UTC)

    if kind is not Validated:  # pydantic's own dataclasses replace the instance's whole __dict__ once it is made
        assert before <= command.get_timestamp() <= after
    assert command.get_timestamp().utcoffset() == timedelta(0)
    assert command.get_timestamp() is command.get_timestamp()
    assert UUID(command.get_command_id()).version == 4
    assert UUID(command.get_command_id()).variant == "specified in RFC 4122"
    assert command.get_command_id() == command.get_command_id()
    assert kind(x=1).get_command_id() != command.get_command_id()


@every_kind
def test_setters_work_even_where_the_class_is_frozen(kind: Callable[..., Command[str]]) -> None:
    command = kind(x=1)
    assert command.get_correlation_id() is None
    assert command.get_initiated_by() is None
    assert command.get_metadata() == {}

    command.set_correlation_id("corr")
    command.set_initiated_by("user-1")
    command.set_metadata("a", 1)
    command.set_metadata("b", 2)

    assert command.get_correlation_id() == "corr"
    assert command.get_initiated_by() == "user-1"
    assert command.get_metadata() == {"a": 1, "b": 2}
    assert cast("Any", command).x == 1


@every_kind
@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, pickled],
    ids=["copy", "deep", "pickle"],
)
def test_a_copy_keeps_the_metadata_and_then_goes_its_own_way(
    kind: Callable[..., Command[str]], copied: Callable[[Command[str]], Command[str]]
) -> None:
    if kind is KINDS[-1]:
        kind = Wrapping
    original = kind(x=5)
    original.set_correlation_id("corr")
    original.set_metadata("a", 1)

    twin = copied(original)

    assert type(twin) is type(original)
    assert cast("Any", twin).x == 5
    assert twin.get_command_id() == original.get_command_id()
    assert twin.get_timestamp() == original.get_timestamp()
    assert twin.get_correlation_id() == "corr"
    twin.set_correlation_id("other")
    twin.set_metadata("b", 2)
    assert original.get_correlation_id() == "corr"
    assert original.get_metadata() == {"a": 1}


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_every_pickle_protocol_keeps_the_id(protocol: int) -> None:
    command = FrozenSlotted(3)
    twin = pickle.loads(pickle.dumps(command, protocol))  # noqa: S301 - what this very test pickled
    assert twin.get_command_id() == command.get_command_id()


def test_metadata_is_handed_out_as_a_copy() -> None:
    command = Frozen()
    command.get_metadata()["a"] = 1
    assert command.get_metadata() == {}


@pytest.mark.parametrize("kind", [Frozen, FrozenSlotted, Ordinary, Slotted, ModelFirst, CommandFirst, OwnInit])
def test_metadata_enters_no_equality(kind: Callable[..., Command[str]]) -> None:
    first, second = kind(x=1), kind(x=1)
    first.set_metadata("a", 1)
    assert first == second
    assert first != kind(x=2)


@pytest.mark.parametrize("kind", [Frozen, FrozenSlotted, ModelFirst])
def test_metadata_enters_no_hash(kind: Callable[..., Command[str]]) -> None:
    first, second = kind(x=1), kind(x=1)
    first.set_correlation_id("corr")
    assert hash(first) == hash(second)


def test_a_frozen_dataclass_stays_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Frozen().x = 2  # type: ignore[misc]


def test_replacing_a_field_makes_a_new_command() -> None:
    command = Frozen(1)
    assert replace(command, x=2).get_command_id() != command.get_command_id()


def test_pydantic_models_serialize_their_fields_alone() -> None:
    model = ModelFirst(x=4)
    model.set_metadata("a", 1)
    assert model.model_dump() == {"x": 4}
    assert model.model_dump_json() == '{"x":4}'
    assert dict(model) == {"x": 4}
    assert repr(model) == "ModelFirst(x=4)"
    assert "_cqrs_metadata" not in ModelFirst.model_json_schema()["properties"]


def test_every_way_to_make_a_pydantic_model_fixes_the_metadata() -> None:
    made = [
        ModelFirst.model_validate({"x": 1}),
        ModelFirst.model_validate_json('{"x": 1}'),
        ModelFirst.model_construct(x=1),
        ModelFirst(x=1).model_copy(),
        OwnInit.model_validate({"x": 1}),
        Inherited.model_construct(x=1),
    ]
    assert all("_cqrs_metadata" in vars(each) for each in made)
    assert len({each.get_command_id() for each in made}) == len(made)


def test_a_models_own_init_keeps_its_defaults_and_its_signature() -> None:
    assert OwnInit().x == 7
    assert OwnInit.model_validate({}).x == 7
    assert OwnInit.__init__.__name__ == "__init__"


@pytest.mark.asyncio
async def test_pydantic_does_not_hide_the_validate_hook() -> None:
    class Strict(BaseModel, Command[str]):
        async def validate(self) -> ValidationResult:  # type: ignore[override]
            return ValidationResult.failure("x", "no")

    plain = cast("Command[str]", ModelFirst())
    assert await plain.validate() == ValidationResult.success()
    assert not (await Strict().validate()).valid


@pytest.mark.asyncio
async def test_the_hooks_pass_unless_overridden_and_the_one_with_context_asks_the_other() -> None:
    class Denied(Command[str]):
        async def authorize(self) -> AuthorizationResult:
            return AuthorizationResult.failure("order", "no")

    assert (await Frozen().validate()).valid
    assert (await Frozen().authorize()).authorized
    assert (await Frozen().authorize_with_context(DefaultExecutionContext())).authorized
    assert not (await Denied().authorize_with_context(DefaultExecutionContext())).authorized
    assert Frozen().get_cache_key() is None


def test_an_overridden_hook_is_seen_wherever_it_is_inherited_from() -> None:
    class Checked(Plain):
        async def validate(self) -> ValidationResult:
            return ValidationResult.success()

    class Below(Checked):
        pass

    assert overrides_hook(Below, "validate")
    assert not overrides_hook(Below, "authorize")
    assert not overrides_hook(ModelFirst, "validate")


# -- restoring -------------------------------------------------------------------------------------------------------


def test_restored_metadata_replaces_what_creation_made() -> None:
    command = Frozen()
    sent = datetime(2024, 5, 1, 12, tzinfo=timezone(timedelta(hours=2)))

    restore_metadata(command, message_id="m-1", correlation_id="c-1", timestamp=sent)

    assert command.get_command_id() == "m-1"
    assert command.get_correlation_id() == "c-1"
    assert command.get_timestamp() == sent
    assert command.get_timestamp().utcoffset() == timedelta(0)


def test_what_is_not_restored_stays() -> None:
    query = Bare()
    before = (query.get_query_id(), query.get_timestamp())
    restore_metadata(query, correlation_id="c-1")
    assert (query.get_query_id(), query.get_timestamp()) == before
    assert query.get_correlation_id() == "c-1"


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="has no timezone"):
        restore_metadata(Frozen(), timestamp=datetime(2024, 5, 1))  # noqa: DTZ001


# -- declared names --------------------------------------------------------------------------------------------------


@message_type("orders.CreateOrder", aliases=("orders.NewOrder",))
class Declared(Command[str]):
    pass


class Below(Declared):
    pass


class Happened:
    event_type: ClassVar[str] = "orders.Happened"


class Numbered:
    event_type: ClassVar[int] = 3


def test_a_declared_name_belongs_to_the_class_that_declares_it() -> None:
    assert declared_name(Declared) == "orders.CreateOrder"
    assert declared_aliases(Declared) == ("orders.NewOrder",)
    assert declared_name(Below) is None
    assert declared_aliases(Below) == ()


def test_an_event_declares_its_name_by_a_class_attribute() -> None:
    assert declared_name(Happened) == "orders.Happened"
    assert declared_name(Numbered) is None
    assert declared_name(message_type("orders.Other")(type("Own", (Happened,), {}))) == "orders.Other"


def test_the_name_to_speak_of_falls_back_to_the_class() -> None:
    assert message_name(Declared) == "orders.CreateOrder"
    assert message_name(Below) == "Below"


@pytest.mark.parametrize(("name", "aliases"), [("", ()), ("a", ("",))])
def test_empty_names_are_refused(name: str, aliases: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="give full names"):
        message_type(name, aliases=aliases)


def test_a_decorated_slotted_dataclass_keeps_its_name() -> None:
    assert declared_name(message_type("orders.S")(FrozenSlotted)) == "orders.S"
