"""However many commands publish first at once, there is one producer, and every event arrives once."""

from pathlib import Path

import pytest

from cqrs.kafka import producing
from tests.scenario import scripted
from tests.scenario.deployment import deployed
from tests.scenario.scripted import do

AT_ONCE = 50


@pytest.mark.asyncio
async def test_one_client_serves_all_first_sends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []
    connect = producing.ProducerLine._connect

    async def counted(self: producing.ProducerLine) -> object:
        opened.append(self)
        return await connect(self)

    monkeypatch.setattr(producing.ProducerLine, "_connect", counted)
    async with deployed(scripted.scripted(tmp_path)) as found:
        stage = scripted.stage
        gates = [stage.waits(f"w-{number}") for number in range(AT_ONCE)]
        for number in range(AT_ONCE):
            await do(found, f"w-{number}")
        await stage.until(lambda: len(stage.begun) == AT_ONCE)
        for gate in gates:
            gate.set()
        events = await found.events(AT_ONCE)

    assert sorted(str(each.value) for each in events) == sorted(str({"what": f"w-{n}"}) for n in range(AT_ONCE))
    assert len(opened) == 1
