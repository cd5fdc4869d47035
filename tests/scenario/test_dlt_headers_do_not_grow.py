"""A record that fails again and again keeps the origin of its first failure, and each header once."""

from pathlib import Path

import pytest

from tests.scenario import scripted
from tests.scenario.deployment import DEAD_LETTERS, deployed
from tests.scenario.scripted import do

HOPS = 4


@pytest.mark.asyncio
async def test_each_dead_letter_header_is_replaced_and_the_first_origin_stays(tmp_path: Path) -> None:
    async with deployed(scripted.scripted(tmp_path)) as found:
        scripted.stage.fails("bad", ValueError("never"))
        await do(found, "first of all")
        await do(found, "bad")
        names: list[list[str]] = []
        for hop in range(1, HOPS + 1):
            letters = await found.until(DEAD_LETTERS, lambda seen, wanted=hop: len(seen) >= wanted)  # type: ignore[misc]
            newest = max((each.message for each in letters), key=lambda each: each.offset)
            names.append(sorted(name for name, _ in newest.headers))
            headers = dict(newest.headers)
            assert headers["kafka_dlt-original-offset"] == (1).to_bytes(8, "big")
            assert headers["kafka_dlt-exception-message"] is not None
            await found.produce(newest.value, newest.headers, key=newest.key)

    assert all(each == names[0] for each in names)
    assert len(names[0]) == len(set(names[0]))
