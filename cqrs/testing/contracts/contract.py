"""What all contract suites have in common: how an implementation says where it differs."""

from collections.abc import Mapping
from typing import ClassVar

import pytest

SECONDS = 30.0
"""How long anything may take that must happen."""


class Contract:
    """Be a suite of one port's promises.

    Attributes:
        differences: The tests of which an implementation keeps no promise, each with the reason. They run all the same
            and must fail: a difference that is none any more has to be taken out.
    """

    differences: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls) -> None:
        """Refuse a difference that names no test.

        Raises:
            TypeError: the suite has no test of that name.
        """
        unknown = [name for name in cls.differences if not hasattr(cls, name)]
        if unknown:
            raise TypeError(f"{cls.__qualname__}.differences names {', '.join(unknown)}; the suite has no such test")

    @pytest.fixture(autouse=True)
    def expect_differences(self, request: pytest.FixtureRequest) -> None:
        """Expect a test to fail that stands among the differences."""
        reason = self.differences.get(getattr(request.node, "originalname", request.node.name))
        if reason is not None:
            request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
