"""What is broken on purpose, and the tests that must notice."""

from dataclasses import dataclass

MESSAGING = "tests/unit/messaging"


@dataclass(frozen=True, slots=True)
class Mutation:
    """Name one way to break a promise.

    Attributes:
        name: What is broken, in a few words.
        promise: The promise that it breaks.
        path: The file, from the project's root.
        found: The text that is replaced; it stands there exactly once.
        replaced: What stands there instead.
        tests: The tests that must fail, as pytest names them.
        hangs: Whether the tests may hang instead of failing; running into the limit then counts as noticed.
    """

    name: str
    promise: str
    path: str
    found: str
    replaced: str
    tests: tuple[str, ...]
    hangs: bool = False


WATERMARK = "an offset never passes unfinished work"
EPOCH = "work of an earlier assignment has no say"
DURABLE = "done means durable"
LETTER = "a dead letter is stored before its offset may move"
ORDER = "the event is acknowledged before the state is committed"
LANES = "records of one key run in order"
RETRIES = "failures are told apart, and retries are bounded"
DRAIN = "a partition that goes is drained and committed"
CLIENTS = "the clients weaken no promise"

CONCURRENCY = f"{MESSAGING}/test_concurrency.py"
LEAVING = f"{MESSAGING}/test_leaving.py"
PROGRESS = f"{MESSAGING}/test_progress.py"
SUBSCRIBER = f"{MESSAGING}/test_subscriber.py"

MUTATIONS: tuple[Mutation, ...] = (
    Mutation(
        "commit the highest record that was read",
        WATERMARK,
        "cqrs/messaging/watermark.py",
        "        if self._open:\n            return self._open[0]\n        behind",
        "        behind",
        (PROGRESS, f"{MESSAGING}/test_watermark.py"),
    ),
    Mutation(
        "commit one offset too far",
        WATERMARK,
        "cqrs/messaging/progress.py",
        "offset = partition.watermark.position or 0",
        "offset = (partition.watermark.position or 0) + 1",
        (PROGRESS,),
    ),
    Mutation(
        "forget what is done above the offset",
        WATERMARK,
        "cqrs/messaging/progress.py",
        "finished = tuple(partition.watermark.finished_above())\n",
        "finished: tuple[range, ...] = ()\n",
        (PROGRESS, CONCURRENCY),
    ),
    Mutation(
        "take a finished range for one that reaches further",
        WATERMARK,
        "cqrs/messaging/watermark.py",
        "                yield range(first, last + 1)\n                first = -1",
        "                yield range(first, last + 2)\n                first = -1",
        (PROGRESS, f"{MESSAGING}/test_watermark.py"),
    ),
    Mutation(
        "go on with the object of the last assignment",
        EPOCH,
        "cqrs/messaging/progress.py",
        "            self._partitions[place.topic, place.partition] = AssignedPartition(place, self._last_epoch, watermark)\n"
        "            self.halted",
        "            self._partitions.setdefault(\n"
        "                (place.topic, place.partition), AssignedPartition(place, self._last_epoch, watermark)\n"
        "            )\n"
        "            self.halted",
        (PROGRESS, SUBSCRIBER),
        hangs=True,
    ),
    Mutation(
        "keep a partition that was taken away",
        EPOCH,
        "cqrs/messaging/progress.py",
        "            self._partitions.pop((place.topic, place.partition), None)\n",
        "",
        (PROGRESS, SUBSCRIBER),
        hangs=True,
    ),
    Mutation(
        "work on for partitions that are another member's",
        EPOCH,
        "cqrs/messaging/committer.py",
        "            if lost:\n",
        "            if False:\n",
        (LEAVING, f"{MESSAGING}/test_committer.py"),
        hangs=True,
    ),
    Mutation(
        "let a handler that exits end its worker",
        "a handler costs its own command alone",
        "cqrs/messaging/isolation.py",
        "                raise AbruptEndException(error) from error\n",
        "                raise\n",
        (f"{MESSAGING}/test_workers.py",),
        hangs=True,
    ),
    Mutation(
        "take records up while the partition goes",
        EPOCH,
        "cqrs/messaging/lanes.py",
        "        if self.is_fenced:\n            return None\n",
        "",
        (PROGRESS,),
    ),
    Mutation(
        "count a record as done before its handler ends",
        DURABLE,
        "cqrs/messaging/workers.py",
        "            await OwnContext(self._handle(delivery))\n        except TryAgainException as again:",
        "            asyncio.ensure_future(self._handle(delivery))\n        except TryAgainException as again:",
        (SUBSCRIBER, CONCURRENCY),
        hangs=True,
    ),
    Mutation(
        "count a failed record as done",
        DURABLE,
        "cqrs/messaging/workers.py",
        "            self._wait(lane, entry, delivery, again)\n        except AbruptEnd",
        "            self._finish(lane, entry)\n        except AbruptEnd",
        (CONCURRENCY,),
        hangs=True,
    ),
    Mutation(
        "do not wait for the event's acknowledgement",
        DURABLE,
        "cqrs/messaging/events.py",
        "        await self._producer.send(OutgoingMessage(topic, partition_key, encoded.value, headers, is_untraced=True))\n",
        "        import asyncio\n"
        "        asyncio.ensure_future(\n"
        "            self._producer.send(OutgoingMessage(topic, partition_key, encoded.value, headers, is_untraced=True))\n"
        "        )\n",
        (f"{MESSAGING}/test_events.py", "tests/scenario/test_ack_before_handler.py"),
    ),
    Mutation(
        "draw event ids at random",
        "a repeat carries the same event id",
        "cqrs/messaging/events.py",
        'return name_based_id(EVENT_IDS, f"{origin.command_id}:{origin.index}")',
        "return str(uuid.uuid4())",
        (f"{MESSAGING}/test_events.py",),
    ),
    Mutation(
        "settle a record whose letter was not stored",
        LETTER,
        "cqrs/messaging/dead_letters.py",
        '        raise TryAgainException(after, away, waits_for=f"dead letter topic {topic}", refusal=error) from away\n',
        "        pass\n",
        (f"{MESSAGING}/test_dead_letters.py",),
    ),
    Mutation(
        "settle a record without a letter",
        LETTER,
        "cqrs/messaging/dead_letters.py",
        "        receipt = await letters.put(delivery.message, error)\n",
        "        receipt = Receipt(topic, 0, 0)\n",
        (f"{MESSAGING}/test_dead_letters.py",),
    ),
    Mutation(
        "read a partition no further for what may be its record's own fault",
        RETRIES,
        "cqrs/messaging/retry.py",
        "waits_for=name, is_outage=not doubtful",
        "waits_for=name",
        (f"{MESSAGING}/test_retry.py", "tests/scenario/test_statement_past_its_limit.py"),
    ),
    Mutation(
        "run a refused command again while its letter waits",
        LETTER,
        "cqrs/messaging/retry.py",
        "            if delivery.refusal is not None:\n                raise delivery.refusal\n",
        "",
        (f"{MESSAGING}/test_retry.py",),
    ),
    Mutation(
        "publish events of a transaction that cannot commit",
        ORDER,
        "cqrs/command/pipeline.py",
        "                await unit.prepare()\n",
        "",
        ("tests/unit/command/test_prepared_transactions.py", "tests/contract/test_caught_errors.py"),
    ),
    Mutation(
        "commit the state before the events are sent",
        ORDER,
        "cqrs/command/pipeline.py",
        "                if not waits:\n                    await _run_all(work.publications)\n        except BaseException:",
        "            if not waits:\n                await _run_all(work.publications)\n        except BaseException:",
        ("tests/unit/command/test_transactions.py", "tests/scenario/test_event_before_state.py"),
        hangs=True,
    ),
    Mutation(
        "give every record a lane of its own",
        LANES,
        "cqrs/messaging/lanes.py",
        "        lane = self.lanes.get(message.key)\n",
        "        lane = None\n",
        (PROGRESS, CONCURRENCY),
        hangs=True,
    ),
    Mutation(
        "let the followers of a waiting record pass",
        LANES,
        "cqrs/messaging/workers.py",
        "        self._waiting.put(lane, again.after)\n",
        "        lane.entries.rotate(-1)\n        self._waiting.put(lane, again.after)\n        self._ready.put_nowait(lane)\n",
        (CONCURRENCY, SUBSCRIBER),
        hangs=True,
    ),
    Mutation(
        "try again without end",
        RETRIES,
        "cqrs/messaging/retry.py",
        "        if attempts >= policy.max_attempts:\n            return True\n",
        "",
        (f"{MESSAGING}/test_retry.py",),
    ),
    Mutation(
        "spend attempts while a dependency is away",
        RETRIES,
        "cqrs/messaging/retry.py",
        "            raise self._held(delivery, error)\n        if kind",
        "            return await self._again(delivery, error, verdict)\n        if kind",
        (f"{MESSAGING}/test_retry.py",),
    ),
    Mutation(
        "take a refusal for a transient failure",
        RETRIES,
        "cqrs/messaging/failures.py",
        "        return FailureKind.PERMANENT\n",
        "        return FailureKind.TRANSIENT\n",
        (f"{MESSAGING}/test_retry.py",),
    ),
    Mutation(
        "forget which keys are halted",
        "a halted key stays halted until it is redriven",
        "cqrs/messaging/progress.py",
        "self.halted.of(partition.place),",
        "frozenset(),",
        (PROGRESS,),
    ),
    Mutation(
        "run a redriven record behind one that failed again",
        "a halted key stays halted until it is redriven",
        "cqrs/messaging/halting.py",
        "_seen(message) > each",
        "True",
        (f"{MESSAGING}/test_halting.py",),
    ),
    Mutation(
        "forget which redriven records failed again",
        "a halted key stays halted until it is redriven",
        "cqrs/messaging/progress.py",
        "self.halted.stopped(partition.place))",
        "{})",
        (PROGRESS,),
    ),
    Mutation(
        "give a partition back with work in hand",
        DRAIN,
        "cqrs/messaging/subscriber.py",
        "            await self._workers.drain(self._progress.chosen(partitions), self._drain_seconds)\n",
        "",
        (SUBSCRIBER, CONCURRENCY),
        hangs=True,
    ),
    Mutation(
        "give a partition back without a commit",
        DRAIN,
        "cqrs/messaging/subscriber.py",
        "            while not await self._committer.commit() and self._clock() < until:\n",
        "            while False:\n",
        (SUBSCRIBER, CONCURRENCY),
        hangs=True,
    ),
    Mutation(
        "leave gaps below the highest started record",
        DRAIN,
        "cqrs/messaging/lanes.py",
        "        last = -1 if lane.state is LaneState.WAITING else self.highest_started\n",
        "        last = -1\n",
        (PROGRESS, CONCURRENCY),
    ),
    Mutation(
        "run on what a member had no time to drain",
        DRAIN,
        "cqrs/messaging/workers.py",
        "        partition.give_up()\n",
        "        pass\n",
        (LEAVING,),
        hangs=True,
    ),
    Mutation(
        "read without a bound",
        "what is kept in memory is bounded",
        "cqrs/messaging/room.py",
        "        if within_share or (open_to_all and not each.waiting):\n",
        "        if True:\n",
        (CONCURRENCY,),
    ),
    Mutation(
        "let aiokafka commit",
        CLIENTS,
        "cqrs/kafka/consumer.py",
        "    enable_auto_commit=False,\n",
        "    enable_auto_commit=True,\n    auto_commit_interval_ms=10,\n",
        ("tests/unit/kafka/test_safe_clients.py",),
    ),
    Mutation(
        "ask for the leader's word alone",
        CLIENTS,
        "cqrs/kafka/producer.py",
        '                acks="all",\n                enable_idempotence=True,\n',
        "                acks=1,\n",
        ("tests/unit/kafka/test_safe_clients.py",),
    ),
    Mutation(
        "read what an open transaction may still take back",
        CLIENTS,
        "cqrs/kafka/consumer.py",
        '    isolation_level="read_committed",\n',
        "",
        ("tests/unit/kafka/test_safe_clients.py",),
    ),
)
"""Every mutation; each must turn its tests red."""
