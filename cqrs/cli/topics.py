"""Look at the topics that a service needs, and make those that are missing."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cqrs.cli.handlers import handlers_of
from cqrs.cli.program import S, ServiceProgram
from cqrs.cli.terminal import invocation
from cqrs.config.settings import ServiceSettings
from cqrs.exceptions import ConfigurationException
from cqrs.kafka.clients import new_topic_admin
from cqrs.kafka.topic_admin import TopicAdmin
from cqrs.messaging.topics import ServiceTopics, TopicRules, TopicState, WantedTopic, hours, partitions_of, shortcomings


@dataclass(frozen=True, slots=True)
class Finding:
    """Say how one topic is, beside how it should be.

    Attributes:
        topic: How it should be.
        there: How it is; None when it is missing.
        shortcomings: What should be otherwise, a few words each.
        made: What was done about it.
    """

    topic: WantedTopic
    there: TopicState | None
    shortcomings: tuple[str, ...]
    made: str = ""


def check_topics(program: ServiceProgram[S], console: Console, *, as_json: bool) -> bool:
    """Show every topic that the service needs, and return whether all are as they should be.

    Raises:
        ConfigurationException: no cluster is named.
        DependencyUnavailableException: it does not answer.
    """
    found = look_at_topics(program, program.settings({}))
    _show(console, found, as_json=as_json)
    bad = any(each.shortcomings for each in found)
    if bad and not as_json:
        console.print(Text(f"to make what is missing: {invocation(program.module)} topics create", style="dim"))
    return not bad


def look_at_topics(program: ServiceProgram[S], settings: ServiceSettings) -> list[Finding]:
    """Return every topic that the service needs, how it is and how it should be.

    Raises:
        ConfigurationException: no cluster is named.
        DependencyUnavailableException: it does not answer.
    """
    return asyncio.run(_look(_admin(settings), plan_of(program, settings)))


def create_topics(
    program: ServiceProgram[S], console: Console, *, dry_run: bool, add_partitions: bool, as_json: bool
) -> bool:
    """Make the topics that are missing, say what was done, and return whether all are as they should be now.

    Args:
        program: The service.
        console: Where to.
        dry_run: Whether to say what would be done and do nothing.
        add_partitions: Whether to add partitions where there are too few, which changes the partition of keys.
        as_json: Whether to print JSON.

    Raises:
        ConfigurationException: no cluster is named, or the broker refuses a topic.
        DependencyUnavailableException: it does not answer.
    """
    settings = program.settings({})
    admin, plan = _admin(settings), plan_of(program, settings)
    found = asyncio.run(_create(admin, plan, dry_run=dry_run, add_partitions=add_partitions))
    _show(console, found, as_json=as_json)
    return not any(each.shortcomings for each in found)


def plan_of(program: ServiceProgram[S], settings: ServiceSettings) -> list[WantedTopic]:
    """Return every topic that the service needs: the declared ones, those of its groups, where its events go."""
    topics = ServiceTopics(
        settings.all_command_topics, settings.topics, settings.dead_letter_suffix, settings.retry_topics
    )
    rules = TopicRules(
        settings.topic_replication if settings.topic_replication > 0 else None,
        settings.topic_min_insync_replicas,
        settings.topic_retention_hours,
        settings.dead_letter_retention_hours,
    )
    return topics.plan(rules, [each.destination for each in handlers_of(program.packages) if each.destination])


def _admin(settings: ServiceSettings) -> TopicAdmin:
    if settings.kafka_bootstrap_servers is None:
        raise ConfigurationException(
            [
                "KAFKA_BOOTSTRAP_SERVERS is not set: the embedded broker makes its topics by itself when the service "
                "starts; name a cluster to look at its topics"
            ]
        )
    return new_topic_admin(settings, settings.kafka_bootstrap_servers)


async def _look(admin: TopicAdmin, plan: Sequence[WantedTopic]) -> list[Finding]:
    there = await admin.describe([each.name for each in plan])
    return [Finding(each, there.get(each.name), tuple(shortcomings(each, there))) for each in plan]


async def _create(
    admin: TopicAdmin, plan: Sequence[WantedTopic], *, dry_run: bool, add_partitions: bool
) -> list[Finding]:
    found = await _look(admin, plan)
    existing = {each.topic.name: each.there for each in found if each.there is not None}
    made: dict[str, str] = {}
    for each in found:
        name, partitions = each.topic.name, partitions_of(each.topic, existing)
        if each.there is None:
            made[name] = "would be made" if dry_run else "made"
            if not dry_run and not await admin.create(_sized(each.topic, partitions)):
                made[name] = "made by another"
        elif add_partitions and each.there.partitions < partitions:
            made[name] = "would grow" if dry_run else "grown"
            if not dry_run:
                await admin.add_partitions(name, partitions)
    after = found if dry_run else await _look(admin, plan)
    return [Finding(each.topic, each.there, each.shortcomings, made.get(each.topic.name, "")) for each in after]


def _sized(topic: WantedTopic, partitions: int) -> WantedTopic:
    return replace(topic, wanted=replace(topic.wanted, partitions=partitions))


def _show(console: Console, found: Sequence[Finding], *, as_json: bool) -> None:
    if as_json:
        console.print(json.dumps([asdict(each) for each in found], indent=2), soft_wrap=True)
        return
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    for heading in ("topic", "for", "partitions", "copies", "keeps", "verdict"):
        table.add_column(heading, overflow="fold")
    for each in found:
        there = each.there
        table.add_row(
            each.topic.name,
            each.topic.purpose,
            str(there.partitions if there else each.topic.wanted.partitions),
            str((there.replication if there else each.topic.wanted.replication) or "default"),
            hours(there.retention_ms if there else each.topic.wanted.retention_ms),
            _verdict(each),
        )
    console.print(table)


def _verdict(finding: Finding) -> Text:
    if finding.there is None and finding.made:
        return Text(finding.made, style="yellow")
    words = "; ".join(finding.shortcomings)
    return Text(words, style="red") if words else Text(finding.made or "well", style="green")
