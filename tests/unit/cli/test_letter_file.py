import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqrs.cli.letter_file import Letter, read_letters, write_letters
from cqrs.exceptions import ConfigurationException
from cqrs.messaging.message import Message

maybe_bytes = st.none() | st.binary(max_size=50)
messages = st.builds(
    Message,
    topic=st.text(max_size=10),
    partition=st.integers(0, 100),
    offset=st.integers(0, 2**63 - 1),
    key=maybe_bytes,
    value=maybe_bytes,
    headers=st.lists(st.tuples(st.text(max_size=10), maybe_bytes), max_size=5).map(tuple),
    timestamp_ms=st.integers(-(2**63), 2**63 - 1),
    timestamp_type=st.integers(0, 1),
)


@given(st.lists(st.builds(Letter, messages, st.none() | st.text(max_size=20)), max_size=4))
def test_nothing_is_lost(tmp_path_factory: pytest.TempPathFactory, letters: list[Letter]) -> None:
    path = tmp_path_factory.mktemp("letters") / "new" / "letters.jsonl"

    write_letters(path, letters)

    assert read_letters(path) == letters
    assert list(path.parent.iterdir()) == [path]


def test_writing_again_replaces_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "letters.jsonl"
    write_letters(path, [Letter(Message("old", 0, 0, None, None))] * 3)

    write_letters(path, [])

    assert read_letters(path) == []


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationException, match=r"no file .*absent\.jsonl; `demo` writes one"):
        read_letters(tmp_path / "absent.jsonl")


def test_a_folder_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationException, match="cannot be read"):
        read_letters(tmp_path)


@pytest.mark.parametrize("line", ["nonsense", "{}", "[]", '{"topic": 1, "headers": 3}', None])
def test_a_broken_line_is_named(tmp_path: Path, line: str | None) -> None:
    path = tmp_path / "letters.jsonl"
    write_letters(path, [Letter(Message("t", 0, 0, b"key", None))])
    good = path.read_text()
    bad = line if line is not None else json.dumps({**json.loads(good), "key": "not base64!"})
    path.write_text(f"{good}{bad}\n")

    with pytest.raises(ConfigurationException, match="line 2"):
        read_letters(path)
