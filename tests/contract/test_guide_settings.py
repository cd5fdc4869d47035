"""Every key of the guide's table: read from the environment and from YAML, and with its effect on injected buses."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import pytest
import yaml

from cqrs.authorization.exceptions import AuthorizationException
from cqrs.authorization.types import AuthorizationResult
from cqrs.cache.adapter import CacheAdapter
from cqrs.cache.memory import MemoryCacheAdapter
from cqrs.command.bus import CommandBus, DefaultCommandBus
from cqrs.command.handler import CommandHandler
from cqrs.command.metrics import MetricsRegistry
from cqrs.command.registry import HandlerRegistry
from cqrs.command.unit_of_work import UnitOfWork
from cqrs.config.auto_configuration import auto_configuration
from cqrs.config.properties import CqrsProperties
from cqrs.config.settings import ServiceSettings
from cqrs.container import Container
from cqrs.decorators import command_handler, query_handler
from cqrs.exceptions import CommandProcessingException, HandlerTimeoutException, QueryProcessingException
from cqrs.query.bus import QueryBus
from cqrs.query.handler import QueryHandler
from cqrs.testing.recording_tracer import RecordingTracer
from cqrs.tracing.tracer import Tracer
from cqrs.types import Command, Query

OTHER: dict[str, object] = {
    "enabled": False,
    "command.timeout": 1,
    "command.metrics_enabled": False,
    "command.tracing_enabled": False,
    "query.timeout": 1,
    "query.caching_enabled": False,
    "query.cache_ttl": 0,
    "query.metrics_enabled": False,
    "query.tracing_enabled": False,
    "authorization.enabled": False,
    "authorization.custom.enabled": False,
    "authorization.custom.timeout_ms": 10,
}
"""Every key with a value that is not its default."""

every_key = pytest.mark.parametrize("key", OTHER)


def nested(key: str) -> dict[str, object]:
    value: object = OTHER[key]
    for part in reversed(key.split(".")):
        value = {part: value}
    return {"cqrs": value}


def told(properties: CqrsProperties, key: str) -> object:
    value: object = properties
    for part in key.split("."):
        value = getattr(value, part)
    return value


@every_key
def test_every_key_is_read_from_the_environment(key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("__".join(["cqrs", *key.split(".")]).upper(), str(OTHER[key]))
    assert told(ServiceSettings().cqrs, key) == OTHER[key]


@every_key
def test_every_key_is_read_from_yaml(key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "service.yaml").write_text(yaml.safe_dump(nested(key)), "utf-8")
    assert told(ServiceSettings().cqrs, key) == OTHER[key]


# -- effects --


@dataclass(frozen=True)
class Do(Command[str]):
    how: str = "well"

    async def authorize(self) -> AuthorizationResult:
        if self.how == "slowly decided":
            await asyncio.Event().wait()
        denied = AuthorizationResult.failure("do", "never")
        return denied if self.how == "denied" else AuthorizationResult.success()


@dataclass(frozen=True)
class Ask(Query[int]):
    how: str = "well"


@command_handler
class DoHandler(CommandHandler[Do, str]):
    async def do_handle(self, command: Do) -> str:
        if command.how == "for ever":
            await asyncio.Event().wait()
        return "done"


@query_handler(cacheable=True)
class AskHandler(QueryHandler[Ask, int]):
    def __init__(self) -> None:
        self._asked = 0

    async def do_handle(self, query: Ask) -> int:
        if query.how == "for ever":
            await asyncio.Event().wait()
        self._asked += 1
        return self._asked


class Counted:
    def __init__(self) -> None:
        self.names: list[str] = []

    def increment(self, name: str, labels: Mapping[str, str]) -> None:
        self.names.append(name)

    def observe(self, name: str, seconds: float, labels: Mapping[str, str]) -> None: ...


class Begun:
    def __init__(self) -> None:
        self.times = 0

    def begin(self) -> AbstractAsyncContextManager[None]:
        self.times += 1
        return nullcontext()

    async def prepare(self) -> None:
        return None


class Service:
    """Be a service of both handlers out of the container, with everything that it may have besides."""

    def __init__(self, key: str | None = None) -> None:
        settings = CqrsProperties() if key is None else CqrsProperties.model_validate(nested(key)["cqrs"])
        self.counted, self.tracer, self.begun = Counted(), RecordingTracer(), Begun()
        self.container = Container(
            services=[DoHandler, AskHandler],
            instances={
                CacheAdapter: MemoryCacheAdapter(),
                MetricsRegistry: self.counted,
                Tracer: self.tracer,
                UnitOfWork: self.begun,
            },
            defaults=[auto_configuration(settings)],
        )

    async def send(self, how: str = "well") -> str:
        await self._discover()
        return await (await self.container.get(CommandBus)).send(Do(how))

    async def ask(self, how: str = "well") -> int:
        await self._discover()
        return await (await self.container.get(QueryBus)).query(Ask(how))

    async def _discover(self) -> None:
        (await self.container.get(HandlerRegistry)).discover_from_beans(await self.container.start())


async def enabled(service: Service) -> object:
    return await service.container.find(CommandBus) is not None


async def command_timeout(service: Service) -> object:
    with pytest.raises(CommandProcessingException) as failed:
        await service.send("for ever")
    return failed.value.cause.seconds if isinstance(failed.value.cause, HandlerTimeoutException) else None


async def query_timeout(service: Service) -> object:
    with pytest.raises(QueryProcessingException) as failed:
        await service.ask("for ever")
    return failed.value.cause.seconds if isinstance(failed.value.cause, HandlerTimeoutException) else None


async def counts_commands(service: Service) -> object:
    await service.send()
    return "cqrs_commands_total" in service.counted.names


async def counts_queries(service: Service) -> object:
    await service.ask()
    return "cqrs_queries_total" in service.counted.names


async def traces_commands(service: Service) -> object:
    await service.send()
    return [span.name for span in service.tracer.spans] == ["command Do", "handle DoHandler"]


async def traces_queries(service: Service) -> object:
    await service.ask()
    return [span.name for span in service.tracer.spans] == ["query Ask", "handle AskHandler"]


async def keeps_answers(service: Service) -> object:
    return [await service.ask(), await service.ask()] == [1, 1]


async def denies(service: Service) -> object:
    try:
        await service.send("denied")
    except AuthorizationException:
        return True
    return False


EFFECTS = {
    "enabled": enabled,
    "command.metrics_enabled": counts_commands,
    "command.tracing_enabled": traces_commands,
    "query.caching_enabled": keeps_answers,
    "query.cache_ttl": keeps_answers,
    "query.metrics_enabled": counts_queries,
    "query.tracing_enabled": traces_queries,
    "authorization.enabled": denies,
    "authorization.custom.enabled": denies,
}


@pytest.mark.asyncio
@pytest.mark.parametrize("key", EFFECTS)
async def test_every_switch_has_its_effect(key: str) -> None:
    assert [await EFFECTS[key](Service()), await EFFECTS[key](Service(key))] == [True, False]


@pytest.mark.asyncio
@pytest.mark.parametrize(("key", "limit"), [("command.timeout", command_timeout), ("query.timeout", query_timeout)])
async def test_the_limits_have_their_effect(
    key: str, limit: Callable[[Service], Awaitable[object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service(key)
    # The handler's second is over at once: nobody waits for it.
    monkeypatch.setattr("cqrs.command.limit.TimeLimit.deadline", lambda limit: monotonic())
    assert await limit(service) == OTHER[key]


@pytest.mark.asyncio
async def test_the_limit_of_hooks_has_its_effect() -> None:
    with pytest.raises(AuthorizationException, match="gave no answer within 10 ms"):
        await Service("authorization.custom.timeout_ms").send("slowly decided")


def test_every_key_is_looked_at_here() -> None:
    others = {"command.timeout", "query.timeout", "authorization.custom.timeout_ms"}
    assert {*EFFECTS, *others} == set(OTHER)


@pytest.mark.asyncio
async def test_what_the_container_has_besides_is_taken() -> None:
    service = Service()
    await service.send()
    await service.ask()
    assert service.begun.times == 1
    assert {"cqrs_commands_total", "cqrs_queries_total"} <= set(service.counted.names)
    assert len(service.tracer.spans) == 4


@pytest.mark.asyncio
async def test_a_command_out_of_the_container_makes_the_answer_stale_that_it_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Do, "get_cache_key", lambda command: Ask().get_cache_key())
    service = Service()
    assert [await service.ask(), await service.ask()] == [1, 1]
    await service.send()
    assert await service.ask() == 2


@pytest.mark.asyncio
async def test_a_bus_that_is_given_the_properties_alone_takes_its_limits_from_them() -> None:
    settings = CqrsProperties.model_validate(nested("authorization.custom.timeout_ms")["cqrs"])
    bus = DefaultCommandBus(HandlerRegistry(), properties=settings)
    bus.register_handler(DoHandler())
    with pytest.raises(AuthorizationException, match="gave no answer within 10 ms"):
        await bus.send(Do("slowly decided"))
