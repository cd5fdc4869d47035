"""What all contract suites have in common: how an implementation says where it differs, and how long tests may take."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import ClassVar, ParamSpec

import pytest

P = ParamSpec("P")

SECONDS = 30.0
"""How long anything may take that must happen."""

TEST_SECONDS = 300.0
"""How long a test may take: then something hangs."""


class Contract:
    """Be a suite of one port's promises.

    Attributes:
        differences: The tests of which an implementation keeps no promise, each with the reason; of one with parameters
            all, or a single one by its name in brackets. They run all the same and must fail: a difference that is
            none any more has to be taken out.
    """

    differences: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls) -> None:
        """Refuse a difference that names no test, and bound the tests of the class in time.

        Raises:
            TypeError: the suite has no test of that name.
        """
        for name, test in list(vars(cls).items()):
            if name.startswith("test_") and inspect.iscoroutinefunction(test):
                setattr(cls, name, _bounded(test))
        unknown = [name for name in cls.differences if not hasattr(cls, name.partition("[")[0])]
        if unknown:
            raise TypeError(f"{cls.__qualname__}.differences names {', '.join(unknown)}; the suite has no such test")

    @pytest.fixture(autouse=True)
    def expect_differences(self, request: pytest.FixtureRequest) -> None:
        """Expect a test to fail that stands among the differences."""
        name = request.node.name
        reason = self.differences.get(name) or self.differences.get(getattr(request.node, "originalname", name))
        if reason is not None:
            request.applymarker(pytest.mark.xfail(reason=reason, strict=True))


def _bounded(test: Callable[P, Awaitable[None]]) -> Callable[P, Awaitable[None]]:
    @wraps(test)
    async def in_time(*args: P.args, **kwargs: P.kwargs) -> None:
        limit = asyncio.timeout(TEST_SECONDS)
        try:
            async with limit:
                await test(*args, **kwargs)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise AssertionError(f"{test.__qualname__} did not end within {TEST_SECONDS:g} s") from error

    return in_time
