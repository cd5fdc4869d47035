"""From a record to a command on the bus: the innermost handler of every delivery."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from cqrs.command.bus import CommandBus
from cqrs.exceptions import ConfigurationException, UnknownMessageTypeException
from cqrs.messaging.delivery import HANDLED, Delivery, Outcome, current_delivery
from cqrs.messaging.envelope import Envelope
from cqrs.messaging.gates import Gate
from cqrs.messaging.message import Message
from cqrs.messaging.message_context import MessageContext
from cqrs.messaging.ports import Decoder
from cqrs.messaging.values import Values
from cqrs.types import Command, declared_aliases, declared_name, restore_metadata


class CommandTypes:
    """Know the command types of this service by their declared names and aliases.

    Args:
        types: The command classes that have a handler.

    Raises:
        ConfigurationException: a class declares no name, or two declare the same one; lists all of them.
    """

    def __init__(self, types: Iterable[type[Command[object]]]) -> None:
        self._by_name: dict[str, type[Command[object]]] = {}
        problems = [problem for command_type in types for problem in self._add(command_type)]
        if problems:
            raise ConfigurationException(problems)

    def _add(self, command_type: type[Command[object]]) -> Iterable[str]:
        name = declared_name(command_type)
        if name is None:
            yield (
                f"command {command_type.__qualname__} declares no name for the wire; "
                f'put @message_type("<namespace>.{command_type.__name__}") on it'
            )
            return
        for each in (name, *declared_aliases(command_type)):
            known = self._by_name.setdefault(each, command_type)
            if known is not command_type:
                yield f"{known.__qualname__} and {command_type.__qualname__} both declare the name {each!r}; rename one"

    @property
    def names(self) -> tuple[str, ...]:
        """Return every name and alias, sorted."""
        return tuple(sorted(self._by_name))

    def unknown(self, topic_types: Mapping[str, str]) -> Iterator[str]:
        """Say which of the types that topics stand for nobody declares, a sentence each."""
        for topic, name in topic_types.items():
            if name not in self._by_name:
                yield f"TOPIC_TYPES gives {topic!r} the type {name!r}; choose one of {', '.join(self.names)}"

    def resolve(self, name: str) -> type[Command[object]]:
        """Return the class that declares `name`.

        Raises:
            UnknownMessageTypeException: no class does.
        """
        found = self._by_name.get(name)
        if found is None:
            raise UnknownMessageTypeException(
                f"no handler knows the type {name!r}; this service handles {', '.join(self.names) or 'no command'}"
            )
        return found


class Dispatcher:
    """Find the type of each record, decode it and send it to the command bus.

    Args:
        bus: Where commands go.
        types: The types it may find.
        decoders: A decoder for each media type.
        max_bytes: The largest value that is decoded.
        topic_types: For topics that carry a single command type: its declared name, used when a record names none.
        gates: What stands before the handlers of some command types.
        source_of: Returns the command topic of a retry topic; of any other, itself.
    """

    def __init__(
        self,
        bus: CommandBus,
        types: CommandTypes,
        decoders: Mapping[str, Decoder],
        *,
        max_bytes: int,
        topic_types: Mapping[str, str] | None = None,
        gates: Mapping[type, Gate] | None = None,
        source_of: Callable[[str], str] = str,
    ) -> None:
        self._gates = gates or {}
        self._source_of = source_of
        self._bus = bus
        self._types = types
        self._values = Values(decoders, max_bytes=max_bytes)
        self._topic_types = topic_types or {}

    async def __call__(self, delivery: Delivery) -> Outcome:
        """Carry out the command of `delivery`.

        Raises:
            InvalidMessageException: the record names no command that can be made of its bytes.
            CommandProcessingException: the bus refused the command or failed with it.
            DependencyUnavailableException: something needed to read it is away.
            TryAgainException: its handler's gate is closed just now.
        """
        command = await self._decode(delivery)
        gate = self._gates.get(type(command))
        token = current_delivery.set(delivery)
        try:
            if gate is None:
                await self._bus.send_with_context(command, MessageContext(delivery))
            else:
                with gate.passage(delivery):
                    await self._bus.send_with_context(command, MessageContext(delivery))
        finally:
            current_delivery.reset(token)
        return HANDLED

    async def _decode(self, delivery: Delivery) -> Command[object]:
        message, envelope = delivery.message, delivery.envelope
        self._values.check(message, envelope)
        if envelope.type is not None:
            self._types.resolve(envelope.type)  # an unknown type is the truer cause than bytes nobody here can read
        declared = envelope.type or self._topic_types.get(self._source_of(message.topic))
        payload = await self._values.parse(message, envelope, declared)
        command = payload.build(self._types.resolve(self._type_name(message, envelope, payload.type_name)))
        restore_metadata(
            command, message_id=envelope.id, correlation_id=envelope.correlation_id, timestamp=envelope.time
        )
        return command

    def _type_name(self, message: Message, envelope: Envelope, from_value: str | None) -> str:
        name = envelope.type or from_value or self._topic_types.get(self._source_of(message.topic))
        if name is None:
            unread = (
                " (the ce_type header is there, but it is null, empty or not UTF-8)"
                if "ce_type" in envelope.ignored
                else ""
            )
            raise UnknownMessageTypeException(
                f"nothing says which command this is{unread}; send the header ce_type, "
                'or the value {"type": "<name>", "data": {...}}'
            )
        return name
