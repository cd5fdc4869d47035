from hypothesis import given
from hypothesis import strategies as st

from cqrs.exceptions import CqrsException
from cqrs.telemetry.text import (
    MESSAGE_LIMIT,
    STACKTRACE_LIMIT,
    encodable,
    error_message,
    error_name,
    error_stacktrace,
)


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def raised(error: Exception) -> Exception:
    try:
        raise error
    except type(error) as caught:
        return caught


@given(st.text(st.characters(codec=None, exclude_categories=[])))
def test_all_text_becomes_encodable_and_what_was_stays(text: str) -> None:
    assert len(encodable(text).encode("utf-8")) >= len(text)
    if not any("\ud800" <= character <= "\udfff" for character in text):
        assert encodable(text) == text


def test_an_error_is_named_with_its_module() -> None:
    assert error_name(CqrsException()) == "cqrs.exceptions.CqrsException"
    assert error_name(ValueError()) == "ValueError"


def test_a_long_message_is_cut() -> None:
    assert error_message(ValueError("x" * 5_000)) == "x" * MESSAGE_LIMIT


def test_an_error_that_cannot_be_printed_is_named() -> None:
    assert error_message(Unprintable()).endswith("Unprintable cannot be printed: its str() raised RuntimeError>")


def test_the_end_of_a_long_stack_trace_is_kept() -> None:
    trace = error_stacktrace(raised(ValueError("x" * 20_000 + "the end")))
    assert len(trace) == STACKTRACE_LIMIT
    assert trace.endswith("the end\n")


def test_a_stack_trace_of_an_error_that_cannot_be_printed_is_made() -> None:
    assert "Unprintable" in error_stacktrace(raised(Unprintable()))
