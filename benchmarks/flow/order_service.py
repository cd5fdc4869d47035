"""The order service of this repository, with its database: `orders.CreateOrder` in, `orders.OrderCreated` out."""

import os
from pathlib import Path

from pydantic import SecretStr

from benchmarks.environment import ROOT
from benchmarks.flow.job import PARTITIONS, STAGE, Clock, TakesTurn, Turn
from benchmarks.flow.ours import run
from cqrs.sql.migrating import migrate
from service.adapters.schema import MIGRATIONS
from service.application.create_order import CreateOrder, CreateOrderHandler
from service.bootstrap import order_service
from service.settings import EVENTS, OrderSettings

_HANDLE = CreateOrderHandler.do_handle


async def _counted(self: CreateOrderHandler, command: CreateOrder) -> str:
    order_id = await _HANDLE(self, command)
    STAGE.clock.count()
    return order_id


async def serve(turn: Turn, clock: Clock) -> None:
    """Start the order service, let it work until the clock has counted everything, and stop it."""
    os.environ["OTEL_SDK_DISABLED"] = "true"
    STAGE.clock = clock
    CreateOrderHandler.do_handle = _counted  # type: ignore[method-assign]
    if turn.database:
        await migrate(turn.database, MIGRATIONS)
    await run(order_service(settings(turn)), clock)


def settings(turn: Turn) -> OrderSettings:
    """Return the settings of a turn: the defaults, but for names and places."""
    return OrderSettings(
        kafka_bootstrap_servers=turn.bootstrap,
        kafka_group_id=turn.group,
        command_topics=(turn.commands,),
        topics={turn.commands: PARTITIONS, EVENTS: PARTITIONS, f"{turn.commands}-dlt": PARTITIONS},
        database_url=SecretStr(turn.database) if turn.database else None,
        schemas_path=ROOT / "schemas",
        state_path=Path(turn.folder),
        management_port=0,
        log_level="ERROR",
        log_format="json",
    )


CONTESTANTS: dict[str, TakesTurn] = {"orders": serve}
"""By name, what takes a turn."""
