"""A validate() or authorize() that gives anything but its result type denies: only a clear yes lets a command pass."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from cqrs.authorization.types import AuthorizationResult
from cqrs.command.handler import CommandHandler
from cqrs.container import service
from cqrs.decorators import command_handler
from cqrs.runtime import Service, ServiceParts
from cqrs.types import Command, message_type
from cqrs.validation.types import ValidationResult
from service.settings import COMMANDS
from tests.scenario.deployment import SECONDS, deployed, settings_in

ANSWERS: dict[str, object] = {"None": None, "False": False, "True": True, "text": "fine", "empty list": []}
handled: asyncio.Queue[str] = asyncio.Queue()


@message_type("t.Checked")
@dataclass(frozen=True)
class Checked(Command[str]):
    """Carry what its hooks answer."""

    validates: str
    authorizes: str

    async def validate(self) -> ValidationResult:
        """Answer as told."""
        return ANSWERS.get(self.validates, ValidationResult.success())  # type: ignore[return-value]

    async def authorize(self) -> AuthorizationResult:
        """Answer as told."""
        return ANSWERS.get(self.authorizes, AuthorizationResult.success())  # type: ignore[return-value]


@command_handler
@service
class CheckedHandler(CommandHandler[Checked, str]):
    """Remember what passed."""

    async def do_handle(self, command: Checked) -> str:
        handled.put_nowait(f"{command.validates}/{command.authorizes}")
        return "done"


@pytest.mark.asyncio
async def test_every_answer_but_a_clear_yes_is_a_refusal(tmp_path: Path) -> None:
    fields = [{"name": name, "type": "string"} for name in ("validates", "authorizes")]
    schema = {"type": "record", "namespace": "t", "name": "Checked", "fields": fields}
    (tmp_path / "t.Checked.avsc").write_text(json.dumps(schema), "utf-8")
    settings = settings_in(tmp_path, topics={COMMANDS: 1}, command_topics=(COMMANDS,), schemas_path=tmp_path)
    wrong = [(answer, "yes") for answer in ANSWERS] + [("yes", answer) for answer in ANSWERS]
    async with deployed(Service(settings, ServiceParts(packages=(__name__,)))) as found:
        for validates, authorizes in [*wrong, ("yes", "yes")]:
            value = json.dumps({"validates": validates, "authorizes": authorizes}).encode()
            await found.produce(value, (("ce_type", b"t.Checked"),), key=f"{validates}/{authorizes}".encode())
        letters = await found.letters(len(wrong))
        passed = await asyncio.wait_for(handled.get(), SECONDS)
        await found.service.stop_consuming()

    assert passed == "yes/yes"
    assert handled.empty()
    assert {each.key for each in letters} == {f"{validates}/{authorizes}".encode() for validates, authorizes in wrong}
