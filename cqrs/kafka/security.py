"""What aiokafka's clients are told to reach a secured cluster."""

import logging
import ssl
from collections.abc import Mapping
from functools import cache

from aiokafka.abc import AbstractTokenProvider

from cqrs.config.kafka_security import OAUTHBEARER, KafkaSecuritySettings
from cqrs.config.tls_files import TlsFiles
from cqrs.exceptions import ConfigurationException
from cqrs.kafka.oauth import ClientCredentials, FileTokens, endpoint_tokens

_log = logging.getLogger(__name__)


def security_options(settings: KafkaSecuritySettings) -> Mapping[str, object]:
    """Return aiokafka's options for the cluster that the settings describe; none for a plain one.

    What the settings weaken is logged, once in a process.

    Raises:
        ConfigurationException: a file does not hold a certificate or key any more; names every such file.
    """
    if settings.kafka_security_protocol == "PLAINTEXT":
        return {}
    for weakness in settings.weaknesses():
        _warn_once(weakness)
    options: dict[str, object] = {"security_protocol": settings.kafka_security_protocol}
    if settings.speaks_tls:
        options["ssl_context"] = RenewedContext.of(settings.tls_files, settings.kafka_ssl_check_hostname)
    if settings.speaks_sasl:
        options |= _sasl_options(settings)
    return options


class RenewedContext(ssl.SSLContext):
    """Be a client's TLS context that takes up files which somebody renewed, with the next connection.

    Certificates that live for days are renewed in place, by cert-manager for one. New authorities are trusted beside
    the old ones, which a restart forgets. Files that do not fit together, or not yet, leave what was loaded before.
    """

    _files = TlsFiles()
    _known: tuple[tuple[int, int, int], ...] = ()

    @classmethod
    def of(cls, files: TlsFiles, check_hostname: bool = True) -> "RenewedContext":
        """Return a context with what `files` hold now; no files trusts the system's authorities.

        Raises:
            ConfigurationException: a file does not hold what it should; names every one.
        """
        context = cls(ssl.PROTOCOL_TLS_CLIENT)
        context._files, context._known = files, _versions(files)
        if files.cafile is None:
            context.load_default_certs()
        files.load_into(context)
        context.check_hostname = check_hostname
        return context

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Begin a connection, as asyncio does, with what the files hold now."""
        self._renew()
        return super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)

    def _renew(self) -> None:
        found = _versions(self._files)
        if found == self._known:
            return
        try:
            RenewedContext.of(self._files)  # a try that fails half way would leave this one without its key
            self._files.load_into(self)
        except ConfigurationException as error:
            _log.warning("Renewed certificates cannot be used, the ones before are: %s", error)
        self._known = found


def _versions(files: TlsFiles) -> tuple[tuple[int, int, int], ...]:
    """Return what changes with each renewal; nothing for a file that is not there at the moment."""
    found = []
    for path in files.paths:
        try:
            status = path.stat()
        except OSError:
            continue
        found.append((status.st_ino, status.st_mtime_ns, status.st_size))
    return tuple(found)


@cache
def _warn_once(weakness: str) -> None:
    _log.warning("%s", weakness)


def _sasl_options(settings: KafkaSecuritySettings) -> dict[str, object]:
    mechanism, password = settings.kafka_sasl_mechanism, settings.kafka_sasl_password
    if mechanism == OAUTHBEARER:
        return {"sasl_mechanism": mechanism, "sasl_oauth_token_provider": _tokens(settings)}
    return {
        "sasl_mechanism": mechanism,
        "sasl_plain_username": settings.kafka_sasl_username,
        "sasl_plain_password": password.get_secret_value() if password is not None else None,
    }


def _tokens(settings: KafkaSecuritySettings) -> AbstractTokenProvider:
    path, secret = settings.kafka_sasl_oauth_token_file, settings.kafka_sasl_oauth_client_secret
    if path is not None:
        return FileTokens(path)
    return endpoint_tokens(
        ClientCredentials(
            settings.kafka_sasl_oauth_token_url or "",
            settings.kafka_sasl_oauth_client_id or "",
            secret.get_secret_value() if secret is not None else "",
            settings.kafka_sasl_oauth_scope,
        )
    )
