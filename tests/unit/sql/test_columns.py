"""A point in time comes back as the same point in time, in UTC."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import sqlite

from cqrs.sql.columns import UtcDateTime

COLUMN, DIALECT = UtcDateTime(), sqlite.dialect()
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(datetime(1000, 1, 1), datetime(9000, 1, 1), timezones=ZONES))  # noqa: DTZ001 - bounds are naive
def test_stored_and_read_back(at: datetime) -> None:
    stored = COLUMN.process_bind_param(at, DIALECT)
    assert stored is not None

    for returned in (stored.replace(tzinfo=None), stored.astimezone(timezone(timedelta(hours=5)))):
        read = COLUMN.process_result_value(returned, DIALECT)
        assert read == at
        assert read is not None
        assert read.tzinfo is UTC


def test_none_stays_none() -> None:
    assert COLUMN.process_bind_param(None, DIALECT) is None
    assert COLUMN.process_result_value(None, DIALECT) is None


def test_a_time_without_timezone_is_refused() -> None:
    with pytest.raises(ValueError, match="has no timezone"):
        COLUMN.process_bind_param(datetime(2025, 1, 1), DIALECT)  # noqa: DTZ001 - the point of the test
