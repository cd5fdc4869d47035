import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs.cli.places import Place
from cqrs.messaging.message import Message


@given(st.from_regex(r"[a-zA-Z0-9._-]{1,20}", fullmatch=True), st.integers(0, 10**6), st.integers(0, 10**12))
def test_both_ways_of_writing_a_place_are_read(topic: str, partition: int, offset: int) -> None:
    message = Message(topic, partition, offset, None, None)

    assert Place.parse(message.place) == Place.parse(str(Place.of(message))) == Place(topic, partition, offset)


@pytest.mark.parametrize("text", ["", "topic", "topic:1", "topic:a:1", "topic:1:-1", "topic[1]", ":1:2", "a:b:1:2"])
def test_anything_else_says_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match="topic:partition:offset"):
        Place.parse(text)
