"""Say why a broker could not be connected to, and what to try."""

import socket
import ssl
from dataclasses import dataclass

from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from cqrs.kafka.oauth import NoTokenException

# The codes of OpenSSL's X509_verify_cert_error_string(3).
_NOT_YET, _EXPIRED = 9, 10
_OTHER_HOST = (62, 64)
_UNKNOWN_AUTHORITY = (2, 7, 18, 19, 20, 21, 27)

_TOKENS = "the token of KAFKA_SASL_OAUTH_TOKEN_FILE or KAFKA_SASL_OAUTH_TOKEN_URL: who it is for, and until when"
_TLS_ENDED = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError, EOFError, ssl.SSLEOFError)


class BrokerRefusedException(KafkaConnectionError):  # type: ignore[misc]  # aiokafka is untyped
    """Report that no broker could be connected to, in words for an operator; aiokafka takes it as its own error."""

    def __str__(self) -> str:
        """Return these words alone."""
        return " ".join(map(str, self.args))


@dataclass(frozen=True, slots=True)
class Way:
    """Name a broker and how it is spoken to.

    Attributes:
        host: Its host name or address.
        port: Its port.
        protocol: `KAFKA_SECURITY_PROTOCOL`.
        mechanism: `KAFKA_SASL_MECHANISM`, where the protocol is a SASL one.
        offered: The mechanisms that the broker said it takes.
    """

    host: str
    port: int
    protocol: str = "PLAINTEXT"
    mechanism: str | None = None
    offered: tuple[str, ...] = ()

    @property
    def speaks_tls(self) -> bool:
        """Say whether the connection is encrypted."""
        return self.protocol.endswith("SSL")


def refusal_of(error: BaseException, way: Way) -> str:
    """Return what `error`, met on connecting, means to an operator: what is wrong, and what to try."""
    return f"{way.host}:{way.port} {_words(error, way)}"


def _words(error: BaseException, way: Way) -> str:
    alert = next((each for each in _causes(error) if isinstance(each, ssl.SSLError)), None)
    if isinstance(alert, ssl.SSLCertVerificationError):
        return _certificate_words(alert)
    if alert is not None and not isinstance(alert, ssl.SSLEOFError):
        return _alert_words(alert, way)
    if isinstance(error, NoTokenException):
        return f"cannot be told who this client is: {error}"
    if isinstance(error, KafkaError) and (words := _sasl_words(error, way)):
        return words
    if isinstance(error, socket.gaierror):
        return f"is not known: its host name has no address ({error.strerror})"
    if isinstance(error, TimeoutError):
        return "does not answer in time"
    if any(isinstance(each, (*_TLS_ENDED, KafkaConnectionError)) for each in _causes(error)):
        return f"{_closing_words(way)}{_own_words(error)}"
    return f"cannot be reached: {error or repr(error)}"


def _certificate_words(error: ssl.SSLCertVerificationError) -> str:
    found, code = error.verify_message, error.verify_code
    if code in _OTHER_HOST:
        return (
            f"has a certificate for another name ({found}); in KAFKA_BOOTSTRAP_SERVERS, and in the brokers' advertised "
            "listeners, write the name that it is for (KAFKA_SSL_CHECK_HOSTNAME=false would trust any name)"
        )
    if code in (_NOT_YET, _EXPIRED):
        return f"has a certificate that is not valid now ({found}); renew it, or set this machine's clock"
    if code in _UNKNOWN_AUTHORITY:
        return (
            f"has a certificate of an authority that is not trusted here ({found}); KAFKA_SSL_CAFILE must name the "
            "file of the authority that signed it"
        )
    return f"has a certificate that is refused here: {found}"


def _alert_words(alert: ssl.SSLError, way: Way) -> str:
    """Tell what the broker says of our part; the names of alerts are OpenSSL's for those of RFC 8446, section 6."""
    reason = alert.reason or ""
    if "CERTIFICATE_REQUIRED" in reason:
        return "asks for a client's certificate; set KAFKA_SSL_CERTFILE and KAFKA_SSL_KEYFILE"
    if any(each in reason for each in ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED", "HANDSHAKE_FAILURE")):
        return (
            f"refuses the client's certificate, or that there is none ({reason}); look at KAFKA_SSL_CERTFILE: is it "
            "set, has it expired, and do the brokers trust its authority?"
        )
    if "WRONG_VERSION" in reason or "RECORD" in reason or "UNEXPECTED_MESSAGE" in reason:
        return f"does not speak TLS at this port, and KAFKA_SECURITY_PROTOCOL is {way.protocol} ({reason})"
    return f"ends the TLS handshake: {alert}"


def _sasl_words(error: KafkaError, way: Way) -> str:
    if isinstance(error, SaslAuthenticationFailed):
        names = _TOKENS if way.mechanism == "OAUTHBEARER" else "KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"
        said = " ".join(str(each) for each in error.args if each)
        return f"refuses who this client says it is ({said or way.mechanism}); look at {names}"
    if isinstance(error, UnsupportedSaslMechanismError):
        taken = f"set it to one of {', '.join(way.offered)}" if way.offered else "choose another"
        return f"does not take KAFKA_SASL_MECHANISM={way.mechanism}; {taken}"
    if isinstance(error, IllegalSaslStateError):
        return f"asks for no SASL at this port, and KAFKA_SECURITY_PROTOCOL is {way.protocol}"
    return ""


def _closing_words(way: Way) -> str:
    if way.speaks_tls:
        return f"closes the connection; does it speak TLS at this port? KAFKA_SECURITY_PROTOCOL is {way.protocol}"
    return f"closes the connection; does it ask for TLS at this port? KAFKA_SECURITY_PROTOCOL is {way.protocol}"


def _own_words(error: BaseException) -> str:
    cause = error.__cause__
    # A TLS alert, read as the length of an answer, makes aiokafka miss millions of bytes.
    own = "" if isinstance(cause, EOFError) else str(cause or "")
    return f" ({own})" if own else ""


def _causes(error: BaseException) -> list[BaseException]:
    found = [error]
    while (cause := found[-1].__cause__) is not None and cause not in found:
        found.append(cause)
    return found
