from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime, timedelta

import pytest

from cqrs.context.execution_context import DefaultExecutionContext, ExecutionContext, ExecutionContextBuilder


def test_the_builder_sets_everything_the_context_has() -> None:
    context = (
        ExecutionContextBuilder()
        .with_user_id("user-42")
        .with_tenant_id("tenant-a")
        .with_organization_id("org")
        .with_session_id("session")
        .with_request_id("request")
        .with_source("shop")
        .with_client_ip("192.0.2.1")
        .with_user_agent("curl")
        .with_property("region", "eu")
        .with_feature_flag("new-checkout", True)
        .build()
    )
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    assert replace(context, created_at=moment) == DefaultExecutionContext(
        user_id="user-42",
        tenant_id="tenant-a",
        organization_id="org",
        session_id="session",
        request_id="request",
        source="shop",
        client_ip="192.0.2.1",
        user_agent="curl",
        created_at=moment,
        properties={"region": "eu"},
        feature_flags={"new-checkout": True},
    )


def test_nothing_is_known_by_default() -> None:
    context = ExecutionContextBuilder().build()
    assert (context.user_id, context.tenant_id, context.properties, context.feature_flags) == (None, None, {}, {})
    assert context.created_at.utcoffset() == timedelta(0)


def test_flags_and_properties_have_defaults() -> None:
    context = ExecutionContextBuilder().with_feature_flag("on").with_feature_flag("off", False).build()
    assert context.get_feature_flag("on")
    assert not context.get_feature_flag("off", True)
    assert not context.get_feature_flag("undecided")
    assert context.get_feature_flag("undecided", True)
    assert context.get_property("absent") is None
    assert context.get_property("absent", 3) == 3


def test_a_context_shares_nothing_with_its_builder_and_does_not_change() -> None:
    builder = ExecutionContextBuilder().with_property("a", 1)
    first = builder.build()
    second = builder.with_property("b", 2).with_user_id("u").build()
    assert first.properties == {"a": 1}
    assert first.user_id is None
    assert second.properties == {"a": 1, "b": 2}
    with pytest.raises(FrozenInstanceError):
        first.user_id = "x"  # type: ignore[misc]


def test_the_default_fits_the_protocol_and_is_hashable() -> None:
    context: ExecutionContext = ExecutionContextBuilder().with_property("a", [1]).build()
    assert isinstance(context, ExecutionContext)
    assert not isinstance(object(), ExecutionContext)
    assert hash(context) == hash(context)
