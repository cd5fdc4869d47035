"""A note says what was written beside the same offset, or nothing; it fits, and no text is dangerous to read."""

import random
import tracemalloc
import zlib
from base64 import b85encode
from itertools import accumulate

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cqrs.messaging.commit_note import (
    LIMIT_BYTES,
    MOST_HALTED,
    MOST_STOPPED,
    CommitNote,
    key_digest,
    read_note,
    write_note,
)

EMPTY = CommitNote()

positions = st.integers(0, 2**40)
sizes = st.integers(0, 3) | st.integers(0, 300) | st.integers(0, 2**30)
digests = st.frozensets(st.binary(min_size=8, max_size=8), max_size=40)
stops = st.dictionaries(st.binary(min_size=8, max_size=8), st.integers(0, 2**63 - 1), max_size=MOST_STOPPED)


def ranges_above(position: int, sizes: list[tuple[int, int]]) -> tuple[range, ...]:
    """Return ranges that begin so far above the lowest offset at which they could, and are so much longer than 1."""
    bounds = list(accumulate((each for skipped, longer in sizes for each in (skipped, longer + 1)), initial=position))
    return tuple(
        range(start + index, stop + index)
        for index, (start, stop) in enumerate(zip(bounds[1::2], bounds[2::2], strict=True))
    )


def records(count: int, share: float, seed: int = 1) -> tuple[range, ...]:
    """Return what is finished above 0 when of the records up to `count` such a share is, by chance."""
    dice = random.Random(seed)
    finished = [offset for offset in range(1, count) if dice.random() < share]
    found: list[range] = []
    for offset in finished:
        if found and found[-1].stop == offset:
            found[-1] = range(found[-1].start, offset + 1)
        else:
            found.append(range(offset, offset + 1))
    return tuple(found)


def keys(count: int) -> frozenset[bytes]:
    return frozenset(key_digest(b"%d" % number) for number in range(count))


def stopped(count: int) -> dict[bytes, int]:
    return {key_digest(b"%d" % number): 2**63 - 1 - number for number in range(count)}


def sealed(position: int, body: bytes) -> str:
    """Return a text that looks as if we had written it, whatever its body."""
    checksum = zlib.crc32(body, zlib.crc32(b"%d" % position)).to_bytes(4, "big")
    return "cqrs1:" + b85encode(checksum + body).decode()


def deflated(data: bytes) -> bytes:
    deflating = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflating.compress(data) + deflating.flush()


@given(positions, st.lists(st.tuples(sizes, sizes), max_size=60), digests, stops)
def test_what_was_written_is_read(
    position: int, ranges: list[tuple[int, int]], halted: frozenset[bytes], stopped: dict[bytes, int]
) -> None:
    note = CommitNote(ranges_above(position, ranges), halted, stopped)

    text = write_note(position, note)

    assert text.isascii()
    assert read_note(position, text) == note


@given(
    positions,
    st.randoms(use_true_random=False),
    st.integers(0, 2_500),
    st.integers(0, MOST_HALTED),
    st.integers(0, MOST_STOPPED),
)
@example(0, random.Random(1), 2_500, MOST_HALTED, MOST_STOPPED)
def test_what_does_not_fit_is_left_out_from_above(
    position: int, dice: random.Random, count: int, halted: int, stops: int
) -> None:
    ranges = ranges_above(position, [(dice.randrange(5_000), dice.randrange(5_000)) for _ in range(count)])

    text = write_note(position, CommitNote(ranges, keys(halted), stopped(stops)))
    note = read_note(position, text)

    assert len(text) <= LIMIT_BYTES
    assert note.halted == keys(halted)
    assert note.stopped == stopped(stops)
    assert note.finished == ranges[: len(note.finished)]
    assert note.finished == ranges or len(text) > LIMIT_BYTES - 40  # as many as fit


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98])
def test_ten_thousand_records_that_finish_by_chance_fit(share: float) -> None:
    ranges = records(10_000, share)

    text = write_note(0, CommitNote(ranges))

    assert len(text) <= LIMIT_BYTES
    assert read_note(0, text).finished == ranges


@pytest.mark.parametrize("halted", [0, MOST_HALTED])
def test_ten_thousand_records_of_which_every_second_is_finished_fit(halted: int) -> None:
    note = CommitNote(tuple(range(offset, offset + 1) for offset in range(1, 10_000, 2)), keys(halted))

    text = write_note(0, note)

    assert len(text) <= LIMIT_BYTES
    assert read_note(0, text) == note


def test_however_well_ranges_are_deflated_our_own_note_is_not_too_large_to_be_read() -> None:
    ranges = tuple(range(offset, offset + 1) for offset in range(1, 200_000, 2))

    note = read_note(0, write_note(0, CommitNote(ranges)))

    assert len(note.finished) == 32_768
    assert note.finished == ranges[:32_768]


@given(st.integers(0, 2**63), st.text() | st.text(max_size=200).map("cqrs1:".__add__))
@example(0, "cqrs1:")
@example(0, "cqrs1:\udcff")
@example(0, "cqrs1:" + "~" * 3_000)
def test_whatever_stands_there_that_is_not_ours_is_an_empty_note(position: int, text: str) -> None:
    assert read_note(position, text) == EMPTY


@given(st.integers(0, 2**63), st.binary(max_size=80))
def test_whatever_body_a_note_has_it_is_read_as_ranges_in_order_or_not_at_all(position: int, body: bytes) -> None:
    note = read_note(position, sealed(position, body))

    least = position
    for each in note.finished:
        assert least <= each.start < each.stop < 2**63
        least = each.stop + 1
    assert all(len(each) == 8 for each in note.halted)


@given(st.data())
def test_a_note_of_which_one_character_changed_is_empty(data: st.DataObject) -> None:
    text = write_note(7, CommitNote(records(200, 0.5)[5:], keys(3)))
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(min_codepoint=33, max_codepoint=126).filter(lambda each: each != text[at]))

    assert read_note(7, text[:at] + other + text[at + 1 :]) == EMPTY


@pytest.mark.parametrize(
    "note", [CommitNote(halted=keys(3)), CommitNote(records(50, 0.5)), CommitNote(records(5_000, 0.5))]
)
def test_a_note_that_was_cut_is_empty(note: CommitNote) -> None:
    text = write_note(0, note)

    assert all(read_note(0, text[:length]) == EMPTY for length in range(len(text)))
    assert read_note(0, text + "0") == EMPTY
    assert read_note(0, text + "00000") == EMPTY


@given(positions, positions)
@example(7, 8)
@example(8, 7)
def test_a_note_says_nothing_beside_another_offset(position: int, other: int) -> None:
    note = CommitNote(ranges_above(position, [(1, 2)]), keys(1))

    assert read_note(other, write_note(position, note)) == (note if position == other else EMPTY)


hostile = {
    "no body": b"",
    "half a head": b"\0",
    "more digests than there are": (2 * 3).to_bytes(2, "big") + bytes(23),
    "more digests than may be": (2 * (MOST_HALTED + 1)).to_bytes(2, "big") + bytes(8 * (MOST_HALTED + 1)),
    "more that failed again than there are": b"\x80\0\2" + bytes(31),
    "more that failed again than may be": b"\x80\0" + bytes([MOST_STOPPED + 1]) + bytes(16 * (MOST_STOPPED + 1)),
    "no word on how many failed again": b"\x80\0",
    "a letter that lies below every offset": b"\x80\0\1digested" + b"\xff" * 8,
    "half a range": b"\0\0\x05\x01\x05",
    "half a number": b"\0\0\x05\x01\x80",
    "a number of 64 bits": b"\0\0" + b"\xff" * 9 + b"\x01\0",
    "a number without end": b"\0\0" + b"\xff" * 2_000,
    "a range that begins above every offset": b"\0\0" + b"\xff" * 8 + b"\x7f\0",
    "a range that ends above every offset": b"\0\0\0" + b"\xff" * 8 + b"\x7f",
    "something behind what is deflated": b"\0\1" + deflated(b"\0\0") + b"\0",
    "deflated and cut": b"\0\1" + deflated(bytes(range(100)))[:-1],
    "not deflated": b"\0\1\xff\xff\xff",
}


@pytest.mark.parametrize("body", hostile.values(), ids=hostile.keys())
def test_a_note_that_says_what_cannot_be_is_empty(body: bytes) -> None:
    assert read_note(0, sealed(0, body)) == EMPTY


def test_the_notes_made_for_these_tests_are_like_ours() -> None:
    assert read_note(0, sealed(0, b"\0\0\x05\x01")) == CommitNote((range(5, 7),))
    assert read_note(0, sealed(0, b"\0\1" + deflated(b"\x05\x01"))) == CommitNote((range(5, 7),))
    assert read_note(0, sealed(0, b"\0\2" + b"digested")) == CommitNote(halted=frozenset({b"digested"}))
    again = CommitNote(halted=frozenset({b"digested"}), stopped={b"digested": 5})
    assert read_note(0, sealed(0, b"\x80\2digested\1digested" + bytes(7) + b"\5")) == again
    highest = b"\0\0" + b"\xfe" + b"\xff" * 7 + b"\x7f\0"
    assert read_note(0, sealed(0, highest)) == CommitNote((range(2**63 - 2, 2**63 - 1),))


bombs = {
    "just too many ranges": sealed(0, b"\0\1" + deflated(bytes(65_538))),
    "ranges without end": sealed(0, b"\0\1" + deflated(bytes(3_000_000))),
    "longer than a note": sealed(0, bytes(2 + 500_000)),
}


@pytest.mark.parametrize("text", bombs.values(), ids=bombs.keys())
def test_a_note_that_would_fill_the_memory_is_empty(text: str) -> None:
    tracemalloc.start()
    try:
        assert read_note(0, text) == EMPTY
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize(
    "ranges",
    [
        (range(9, 11),),
        (range(12, 12),),
        (range(14, 12),),
        (range(12, 20, 2),),
        (range(12, 14), range(13, 15)),
        (range(12, 14), range(14, 15)),
        (range(20, 21), range(12, 13)),
        (range(12, 2**63),),
    ],
)
def test_ranges_that_cannot_be_are_refused(ranges: tuple[range, ...]) -> None:
    with pytest.raises(ValueError, match="no range of offsets"):
        write_note(10, CommitNote(ranges))


def test_as_many_keys_are_told_apart_as_was_promised() -> None:
    text = write_note(0, CommitNote(halted=keys(MOST_HALTED)))

    assert read_note(0, text).halted == keys(MOST_HALTED)
    with pytest.raises(ValueError, match="257 keys are halted; a note holds 256"):
        write_note(0, CommitNote(halted=keys(MOST_HALTED + 1)))


def test_a_digest_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="noted by 8 bytes"):
        write_note(0, CommitNote(halted=frozenset({b"seven.."})))
    with pytest.raises(ValueError, match="noted by 8 bytes"):
        write_note(0, CommitNote(stopped={b"seven..": 1}))


def test_as_many_that_failed_again_are_told_apart_as_was_promised() -> None:
    text = write_note(0, CommitNote((), keys(MOST_HALTED), stopped(MOST_STOPPED)))

    assert read_note(0, text).stopped == stopped(MOST_STOPPED)
    with pytest.raises(ValueError, match="33 keys are stopped; a note holds 32"):
        write_note(0, CommitNote(stopped=stopped(MOST_STOPPED + 1)))


@pytest.mark.parametrize("offset", [-1, 2**63])
def test_a_letter_that_lies_nowhere_is_refused(offset: int) -> None:
    with pytest.raises(ValueError, match="no offset of a dead letter"):
        write_note(0, CommitNote(stopped={key_digest(b"k"): offset}))


def test_an_empty_note_is_no_text() -> None:
    assert write_note(5, EMPTY) == ""
    assert read_note(5, "") == EMPTY


def test_notes_and_digests_are_the_same_in_every_process_and_release() -> None:
    """They lie in the brokers: the next release reads what this one wrote."""
    note = CommitNote((range(43, 44), range(45, 300)), frozenset(b"digest %d" % number for number in range(5)))

    assert write_note(42, note) == "cqrs1:qG;oF019MjXJvDAATVTUXJvDAATeZVXJvDAATnfWXJvDAATwlXXJvDAAT$900R90"
    again = CommitNote((range(43, 44),), frozenset({b"digest 0"}), {b"digest 0": 7})
    assert write_note(42, again) == "cqrs1:Ie>2efC6M`XJvDAATR-BX=i0~bRaMQ00000000L800"
    assert key_digest(b"order-1").hex() == "2599000e8c1b023d"
    assert key_digest(None).hex() == "0f83a8fee054b05c"
    assert key_digest(b"").hex() == "e4a6a0577479b2b4"


@given(st.none() | st.binary(), st.none() | st.binary())
@example(None, b"")
def test_digests_tell_keys_apart(key: bytes | None, other: bytes | None) -> None:
    assert len(key_digest(key)) == 8
    assert (key_digest(key) == key_digest(other)) == (key == other)
