"""Keep a service running until it is told to stop."""

import asyncio
import os
import shlex
import sys
import threading
from contextlib import nullcontext

from rich.console import Console
from rich.text import Text

from cqrs.cli.addresses import AddressFile
from cqrs.cli.program import S, ServiceProgram
from cqrs.cli.terminal import invocation
from cqrs.cli.text import short_json
from cqrs.config.listing import masked
from cqrs.runtime import Service
from cqrs.signals import STOP_SIGNALS
from cqrs.threads import THREAD_NAMES

LEAVING_SECONDS = 1.0
"""How long a task or a thread that was told to end may take."""


def run_service(program: ServiceProgram[S], console: Console) -> None:
    """Run the service until SIGTERM or SIGINT, and return when it has stopped in order.

    Raises:
        ConfigurationException: it cannot be started; shows every problem.
        DependencyUnavailableException: broker, registry or database cannot be reached.
    """
    asyncio.run(_main(program, console))


async def _main(program: ServiceProgram[S], console: Console) -> None:
    await _run(program, console)
    await _leave_what_does_not_end()


async def _run(program: ServiceProgram[S], console: Console) -> None:
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()
    stopped_early = False

    def stop_early() -> None:
        nonlocal stopped_early
        stopped_early = True
        if task is not None:
            task.cancel()

    # From the first moment on a signal means an orderly stop; `Service.run` puts its own in place of these.
    for each in STOP_SIGNALS:
        loop.add_signal_handler(each, stop_early)
    try:
        await _serve(program, console)
    except asyncio.CancelledError:
        if not stopped_early:
            raise


async def _leave_what_does_not_end() -> None:
    """End the process although a handler will not: what it has in hand was left to the next member of the group.

    The interpreter would wait for its thread, and the event loop for its task, for ever.
    """
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=LEAVING_SECONDS)
    threads = [each for each in threading.enumerate() if each.name.startswith(THREAD_NAMES)]
    for thread in threads:
        await asyncio.to_thread(thread.join, LEAVING_SECONDS)
    if any(not task.done() for task in tasks) or any(thread.is_alive() for thread in threads):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


async def _serve(program: ServiceProgram[S], console: Console) -> None:
    settings = program.settings({})
    service = program.service(settings, None)
    addresses = AddressFile(settings.state_path)
    with addresses.claimed() if settings.kafka_bootstrap_servers is None else nullcontext():
        async with service:
            _leave(addresses, service)
            announcing = asyncio.create_task(_announce(program, console, service))
            try:
                await service.run()
            finally:
                announcing.cancel()
                addresses.remove()
    console.print("stopped")


def _leave(addresses: AddressFile, service: Service) -> None:
    """Leave what nobody could know otherwise: what is given is in the settings, maybe with a password."""
    own_registry = service.settings.schema_registry_url is None
    if own_registry or service.settings.kafka_bootstrap_servers is None:
        addresses.write(service.bootstrap_servers, service.registry_url if own_registry else None)


async def _announce(program: ServiceProgram[S], console: Console, service: Service) -> None:
    embedded = service.settings.kafka_bootstrap_servers is None
    facts = (
        ("broker", service.bootstrap_servers + (" (embedded: nothing is kept when it stops)" if embedded else "")),
        ("registry", masked(service.registry_url)),
        ("management", service.management_url),
        ("commands", ", ".join(service.settings.all_command_topics)),
    )
    for name, text in facts:
        console.print(Text.assemble((f"{name:<12}", "dim"), text), soft_wrap=True)
    await service.ready()
    console.print(
        Text.assemble(("ready", "bold green"), "; send it a command from another terminal, in this directory:")
    )
    console.print(Text(f"  {invocation(program.module)} send {_example(program, service)}"), soft_wrap=True)
    console.print("Ctrl-C stops it.")


def _example(program: ServiceProgram[S], service: Service) -> str:
    """Return the first command of the demo that JSON can say, quoted for a shell."""
    commands = program.demo(service.settings.schemas_path)
    found = next((each for each in commands if each.data is not None and each.expected.event), None)
    return f"{found.type_name} {shlex.quote(short_json(found.data))}" if found is not None else "TYPE JSON"
