"""From objects to what an Avro writer takes: strictly, compiled once per schema, and naming all that does not fit.

Nothing is rounded, cut, filled in or left out, with one exception that the format itself makes: a `timestamp-millis`
holds whole milliseconds, so what a datetime has below one is dropped (rounded down), as every Avro writer does.
"""

import enum
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation
from uuid import UUID

from cqrs.avro.model import Node
from cqrs.serialization.fields import fields_of, has_declared_fields, values_of
from cqrs.serialization.misfits import MisfitException, below, kind, misfit
from cqrs.serialization.scalars import whole_text

Fitter = Callable[[object], object]
"""Turn one value into what fastavro writes for it, or raise MisfitException."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_MAX_FLOAT = 3.4028234663852886e38
_LIMITS = {"int": 2**31, "long": 2**63}
_TICKS = {"timestamp-millis": timedelta(milliseconds=1), "timestamp-micros": timedelta(microseconds=1)}


def fitter(node: Node) -> Fitter:
    """Compile the fitter of a type; the schema must not be recursive.

    Raises:
        ValueError: the schema uses a logical type that is not written here.
    """
    if node.logical:
        return _logical(node)
    if node.kind in _SIMPLE:
        return _SIMPLE[node.kind]
    return _COMPILED[node.kind](node)


def _logical(node: Node) -> Fitter:
    if node.logical == "decimal":
        return _decimal(node)
    if node.logical in _TICKS:
        return _timestamp(_TICKS[node.logical])
    known = {"date": _fit_date, "uuid": _fit_uuid}.get(node.logical)
    if known is None:
        raise ValueError(f"the logical type {node.logical} is not supported; use decimal, uuid, date or timestamp-*")
    return known


def _fit_null(value: object) -> None:
    if value is not None:
        raise misfit(f"must be null, not {kind(value)}")


def _fit_boolean(value: object) -> bool:
    if type(value) is not bool:
        raise misfit(f"must be a bool, not {kind(value)}")
    return value


def _integer(node: Node) -> Fitter:
    limit = _LIMITS[node.kind]

    def fit(value: object) -> int:
        if type(value) is not int:
            raise misfit(f"must be an int, not {kind(value)}")
        if not -limit <= value < limit:
            raise misfit(f"must be within the range of an Avro {node.kind}, -{limit} to {limit - 1}")
        return value

    return fit


def _floating(node: Node) -> Fitter:
    limit = _MAX_FLOAT if node.kind == "float" else math.inf

    def fit(value: object) -> float:
        if type(value) is not float and (type(value) is not int or abs(value) > 2**53):
            raise misfit(f"must be a float, not {kind(value)}")
        if math.isfinite(value) and abs(value) > limit:
            raise misfit("is outside the range of an Avro float; use double")
        return float(value)

    return fit


def _fit_string(value: object) -> str:
    if type(value) is str and value.isascii():
        return value
    text = value.value if isinstance(value, enum.Enum) else value
    if not isinstance(text, str):
        raise misfit(f"must be a str, not {kind(value)}")
    return whole_text(text)


def _fit_bytes(value: object) -> bytes:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise misfit(f"must be bytes, not {kind(value)}")
    return bytes(value)


def _fixed(node: Node) -> Fitter:
    def fit(value: object) -> bytes:
        made = _fit_bytes(value)
        if len(made) != node.size:
            raise misfit(f"must be {node.size} bytes, not {len(made)}")
        return made

    return fit


def _enum(node: Node) -> Fitter:
    def fit(value: object) -> str:
        made = _fit_string(value)
        if made not in node.symbols:
            raise misfit(f"must be one of {', '.join(node.symbols)}")
        return made

    return fit


def _decimal(node: Node) -> Fitter:
    context = Context(prec=node.precision, traps=[InvalidOperation, Inexact])
    step = Decimal(1).scaleb(-node.scale)

    def fit(value: object) -> Decimal:
        if type(value) is not Decimal:
            raise misfit(f"must be a Decimal, not {kind(value)}")
        try:
            made = value.quantize(step, context=context)
            if made.is_finite():
                return made
        except DecimalException:
            pass  # what follows says so
        raise misfit(
            f"must fit {node.label}: {node.precision} digits, {node.scale} of them behind the point, nothing rounded"
        )

    return fit


def _timestamp(tick: timedelta) -> Fitter:
    def fit(value: object) -> int:
        if not isinstance(value, datetime):
            raise misfit(f"must be a datetime, not {kind(value)}")
        if value.utcoffset() is None:
            raise misfit("is a datetime without an offset; make it with datetime.now(UTC)")
        return (value - _EPOCH) // tick

    return fit


def _fit_date(value: object) -> int:
    if not isinstance(value, date) or isinstance(value, datetime):
        raise misfit(f"must be a date, not {kind(value)}")
    return value.toordinal() - _EPOCH_DAY


def _fit_uuid(value: object) -> str:
    if not isinstance(value, UUID):
        raise misfit(f"must be a UUID, not {kind(value)}")
    return str(value)


def _array(node: Node) -> Fitter:
    fit_item = fitter(_items(node))

    def fit(value: object) -> list[object]:
        if not isinstance(value, list | tuple | set | frozenset):
            raise misfit(f"must be a list or a tuple, not {kind(value)}")
        try:
            return [fit_item(item) for item in value]
        except MisfitException:
            raise MisfitException(_every_misfit([(f"[{i}]", fit_item, item) for i, item in enumerate(value)])) from None

    return fit


def _map(node: Node) -> Fitter:
    fit_item = fitter(_items(node))

    def fit(value: object) -> dict[object, object]:
        if not isinstance(value, Mapping):
            raise misfit(f"must be a dict, not {kind(value)}")
        problems = _every_misfit([(str(key)[:80], _fit_string, key) for key in value])
        problems += _every_misfit([(str(key)[:80], fit_item, item) for key, item in value.items()])
        if problems:
            raise MisfitException(problems)
        return {_fit_string(key): fit_item(item) for key, item in value.items()}

    return fit


def _items(node: Node) -> Node:
    if node.items is None:
        raise ValueError(f"the {node.kind} has no item type")
    return node.items


def _union(node: Node) -> Fitter:
    nullable = any(branch.kind == "null" for branch in node.branches)
    branches = [(branch.name or branch.kind, fitter(branch)) for branch in node.branches if branch.kind != "null"]

    def fit(value: object) -> object:
        if value is None and nullable:
            return None
        refusals: list[MisfitException] = []
        for name, fit_branch in branches:
            try:
                return name, fit_branch(value)  # the writer is told the branch, and does not guess it
            except MisfitException as error:
                refusals.append(error)
        raise refusals[0] if len(refusals) == 1 else misfit(f"fits none of {node.label}")

    return fit


@dataclass(frozen=True, slots=True)
class _Plan:
    """Say how a class is read against a record: its attributes in the schema's order, and what can never fit."""

    members: Sequence[tuple[str, str, Fitter]]
    problems: Sequence[tuple[str, str]]


def _record(node: Node) -> Fitter:
    fitters = {field.name: fitter(field.node) for field in node.fields}
    plans: dict[type, _Plan] = {}

    def fit(value: object) -> dict[str, object]:
        plan = plans.get(type(value))
        if plan is None:
            if isinstance(value, Mapping) or not has_declared_fields(type(value)):
                return _fit_pairs(value, fitters)
            plan = plans[type(value)] = _plan(type(value), fitters)
        try:
            if not plan.problems:
                return {name: fit_field(getattr(value, attribute)) for name, attribute, fit_field in plan.members}
        except MisfitException:
            pass  # found again below, together with all others
        found = _every_misfit([(name, fit_field, getattr(value, at)) for name, at, fit_field in plan.members])
        raise MisfitException([*plan.problems, *found])

    return fit


def _plan(cls: type, fitters: Mapping[str, Fitter]) -> _Plan:
    attributes = {field.name: field.attribute for field in fields_of(cls) or ()}
    members = [(name, attributes[name], fit) for name, fit in fitters.items() if name in attributes]
    return _Plan(members, _strangers(attributes, fitters))


def _fit_pairs(value: object, fitters: Mapping[str, Fitter]) -> dict[str, object]:
    pairs = dict(value) if isinstance(value, Mapping) else dict(values_of(value) or ())
    if not pairs and not isinstance(value, Mapping):
        raise misfit(f"must be an object with the fields {', '.join(fitters)}, not {kind(value)}")
    problems = _strangers(pairs, fitters)
    problems += _every_misfit([(name, fit, pairs[name]) for name, fit in fitters.items() if name in pairs])
    if problems:
        raise MisfitException(problems)
    return {name: fit(pairs[name]) for name, fit in fitters.items()}


def _strangers(given: Mapping[str, object], fitters: Mapping[str, Fitter]) -> list[tuple[str, str]]:
    missing = [(name, "is missing") for name in fitters if name not in given]
    return missing + [(str(name)[:80], "is not in the schema") for name in given if name not in fitters]


def _every_misfit(members: Sequence[tuple[str, Fitter, object]]) -> list[tuple[str, str]]:
    problems: list[tuple[str, str]] = []
    for step, fit, item in members:
        try:
            fit(item)
        except MisfitException as error:
            problems += below(step, error)
    return problems


_SIMPLE: Mapping[str, Fitter] = {
    "null": _fit_null,
    "boolean": _fit_boolean,
    "string": _fit_string,
    "bytes": _fit_bytes,
}
_COMPILED: Mapping[str, Callable[[Node], Fitter]] = {
    "int": _integer,
    "long": _integer,
    "float": _floating,
    "double": _floating,
    "fixed": _fixed,
    "enum": _enum,
    "array": _array,
    "map": _map,
    "union": _union,
    "record": _record,
}
