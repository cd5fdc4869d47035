"""Every mutation still changes something, and names tests that there are."""

import pytest

from tests.mutations.__main__ import ROOT, chosen, first_failure, mutate
from tests.mutations.table import MUTATIONS, Mutation


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda each: each.name)
def test_each_changes_the_code_and_names_tests(mutation: Mutation) -> None:
    text = (ROOT / mutation.path).read_text("utf-8")

    assert mutate(text, mutation) != text
    assert all((ROOT / test.split("::")[0]).is_file() for test in mutation.tests)


def test_one_that_no_longer_applies_is_an_error() -> None:
    gone = Mutation("gone", "p", "cqrs/types.py", "text that stands nowhere", "", ())

    with pytest.raises(ValueError, match="0 times"):
        mutate("something else", gone)


def test_names_are_unique_and_words_choose_among_them() -> None:
    assert len({each.name for each in MUTATIONS}) == len(MUTATIONS)
    assert [each.name for each in chosen(["event ids"])] == ["draw event ids at random"]
    assert chosen([]) == list(MUTATIONS)


def test_the_test_that_noticed_is_named() -> None:
    assert first_failure("...\nFAILED tests/a.py::test_b - AssertionError: x\n1 failed") == "tests/a.py::test_b"
    assert first_failure("") == "a test"
