"""What fastavro reads without complaint although it is not what the schema says: found in the values it returns."""

from collections.abc import Callable
from decimal import Decimal

from cqrs.avro.model import FieldNode, Node
from cqrs.serialization.misfits import MisfitException, below, misfit

Check = Callable[[object], None]
"""Look at one value that was read, and raise MisfitException if its bytes said something else."""


def value_check(node: Node) -> Check | None:
    """Compile the check of a reader's type, or None when every value of it can be trusted.

    Looked for are ints of more than 32 bits, and decimals of more digits than the schema allows (fastavro rounds them).
    """
    if node.kind == "int" and not node.logical:
        return _check_int
    if node.logical == "decimal":
        return _decimal_check(node)
    if node.kind == "record":
        return _record_check(node.fields)
    if node.kind == "union":
        return _union_check(node)
    item = value_check(node.items) if node.items is not None else None
    return _items_check(item) if item is not None else None


def _check_int(value: object) -> None:
    if isinstance(value, int) and not -(2**31) <= value < 2**31:
        raise misfit("has more than the 32 bits of an Avro int")


def _decimal_check(node: Node) -> Check:
    def check(value: object) -> None:
        if isinstance(value, Decimal):
            _, digits, exponent = value.as_tuple()
            if exponent != -node.scale or len(digits) > node.precision:
                raise misfit(f"has more digits than {node.label} allows")

    return check


def _record_check(fields: tuple[FieldNode, ...]) -> Check | None:
    checks = [(field.name, found) for field in fields if (found := value_check(field.node)) is not None]
    if not checks:
        return None

    def check(value: object) -> None:
        assert isinstance(value, dict)  # noqa: S101 - fastavro reads records so
        for name, check_field in checks:
            try:
                check_field(value[name])
            except MisfitException as error:
                raise MisfitException(below(name, error)) from None

    return check


def _items_check(check_item: Check) -> Check:
    def check(value: object) -> None:
        steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for step, item in steps:
            try:
                check_item(item)
            except MisfitException as error:
                raise MisfitException(below(f"[{step}]", error)) from None

    return check


def _union_check(node: Node) -> Check | None:
    """Check the one branch that can be told by the value: a nullable type's own."""
    branches = [branch for branch in node.branches if branch.kind != "null"]
    check_branch = value_check(branches[0]) if len(branches) == 1 else None
    if check_branch is None:
        return None
    return lambda value: check_branch(value) if value is not None else None
