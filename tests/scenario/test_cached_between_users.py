"""An answer that depends on who asks is never given to another user, whatever cache is between them."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from cqrs.container import service
from cqrs.context.execution_context import DefaultExecutionContext, ExecutionContext
from cqrs.decorators import query_handler
from cqrs.query.handler import ContextAwareQueryHandler
from cqrs.runtime import Service, ServiceParts
from cqrs.types import Query
from service.settings import COMMANDS
from tests.scenario.deployment import deployed, settings_in

asked: list[str | None] = []


@dataclass(frozen=True)
class WhoAmI(Query[str]):
    """Ask who asks."""


@query_handler(cacheable=True, cache_ttl=900)
@service
class WhoAmIHandler(ContextAwareQueryHandler[WhoAmI, str]):
    """Answer by the context."""

    async def do_handle_with_context(self, query: WhoAmI, context: ExecutionContext) -> str:
        asked.append(context.user_id)
        return f"you are {context.user_id}"


@pytest.mark.asyncio
async def test_two_users_get_their_own_answers_and_each_one_is_cached(tmp_path: Path) -> None:
    asked.clear()
    settings = settings_in(tmp_path, topics={COMMANDS: 1}, command_topics=(COMMANDS,), cache_url="memory://")
    async with deployed(Service(settings, ServiceParts(packages=(__name__,)))) as found:
        bus = found.service.query_bus
        answers = [
            await bus.query_with_context(WhoAmI(), DefaultExecutionContext(user_id=user))
            for user in ("alice", "bob", "alice", "bob")
        ]

    assert answers == ["you are alice", "you are bob", "you are alice", "you are bob"]
    assert asked[:2] == ["alice", "bob"]
