"""Connect to a broker as aiokafka does, and end every attempt that fails with words for an operator."""

from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

from aiokafka.conn import AIOKafkaConnection, OAuthAuthenticator, create_conn
from aiokafka.protocol.admin import SaslHandShakeRequest

from cqrs.kafka.rebinding import rebound
from cqrs.kafka.refusals import BrokerRefusedException, Way, refusal_of

T = TypeVar("T")

_ABANDONED = b"\x01"
"""What a client says to the details of a refusal, so that the server ends the exchange (RFC 7628, section 3.2.3)."""


class _CarefulConnection(AIOKafkaConnection):  # type: ignore[misc]  # aiokafka is untyped
    """Be aiokafka's connection, which knows the mechanisms that the broker takes, and hears it refuse a token."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)
        self.offered: tuple[str, ...] = ()

    def send(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, request: object, expect_response: bool = True
    ) -> Awaitable[object]:
        answer: Awaitable[object] = super().send(request, expect_response)
        return self._remember(answer) if isinstance(request, SaslHandShakeRequest) else answer

    def authenticator_oauth(self) -> "_TokenAuthenticator":
        return _TokenAuthenticator(sasl_oauth_token_provider=self._sasl_oauth_token_provider)

    async def _remember(self, answer: Awaitable[T]) -> T:
        found = await answer
        self.offered = tuple(getattr(found, "enabled_mechanisms", ()))
        return found


class _TokenAuthenticator(OAuthAuthenticator):  # type: ignore[misc]
    """Send a token, and let the broker say what is wrong with it; aiokafka takes its details for a welcome."""

    _is_abandoned = False

    async def step(self, payload: bytes | None) -> tuple[bytes, Literal[True]] | None:
        if payload and not self._is_abandoned:
            self._is_abandoned = True
            return _ABANDONED, True
        step: tuple[bytes, Literal[True]] | None = await super().step(payload)
        return step


def _opening(make: Callable[..., _CarefulConnection]) -> Callable[..., Awaitable[AIOKafkaConnection]]:
    opening: Callable[..., Awaitable[AIOKafkaConnection]] = rebound(create_conn, AIOKafkaConnection=make)
    return opening


async def connect(host: str, port: int, **options: object) -> AIOKafkaConnection:
    """Return a connection, as aiokafka's `create_conn` does.

    Raises:
        BrokerRefusedException: there is none; says why, and what to try.
    """
    made: list[_CarefulConnection] = []

    def careful(*args: object, **kwargs: object) -> _CarefulConnection:
        made.append(_CarefulConnection(*args, **kwargs))
        return made[-1]

    try:
        return await _opening(careful)(host, port, **options)
    except Exception as error:  # what a peer answers that is no broker may end in any error of aiokafka's
        way = Way(
            host,
            port,
            str(options.get("security_protocol", "PLAINTEXT")),
            str(options.get("sasl_mechanism")),
            made[-1].offered if made else (),
        )
        raise BrokerRefusedException(refusal_of(error, way)) from error
