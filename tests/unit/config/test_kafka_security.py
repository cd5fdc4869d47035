"""What contradicts itself in the settings of a cluster, or names files of no use, is said before anything connects."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from cqrs.config.kafka_security import KafkaSecuritySettings
from cqrs.config.listing import describe_settings
from cqrs.config.settings import ServiceSettings
from cqrs.exceptions import ConfigurationException
from cqrs.testing.certificates import CertificateAuthority, Identity

CLUSTER = {"kafka_bootstrap_servers": "k:9092"}
TLS = {"kafka_security_protocol": "SSL"}
SCRAM = {"kafka_security_protocol": "SASL_SSL", "kafka_sasl_mechanism": "SCRAM-SHA-512"}
TOKENS = {"kafka_security_protocol": "SASL_SSL", "kafka_sasl_mechanism": "OAUTHBEARER"}
KNOWN = {"kafka_sasl_username": "u", "kafka_sasl_password": "p"}
ENDPOINT = {
    "kafka_sasl_oauth_token_url": "https://idp/token",
    "kafka_sasl_oauth_client_id": "c",
    "kafka_sasl_oauth_client_secret": "hunter2",
}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def client(authority: CertificateAuthority) -> Identity:
    return authority.sign("client")


def made(*given: Mapping[str, object], **more: object) -> ServiceSettings:
    return ServiceSettings.model_validate({key: value for each in (*given, more) for key, value in each.items()})


def problems(*given: Mapping[str, object], **more: object) -> tuple[str, ...]:
    with pytest.raises(ConfigurationException) as refused:
        made(*given, **more)
    return refused.value.problems


@pytest.mark.parametrize(
    "given",
    [
        {},
        TLS,
        {**TLS, "kafka_ssl_check_hostname": False},
        {**SCRAM, **KNOWN},
        {**SCRAM, **KNOWN, "kafka_security_protocol": "SASL_PLAINTEXT"},
        {**TOKENS, **ENDPOINT},
        {**TOKENS, **ENDPOINT, "kafka_sasl_oauth_scope": "kafka"},
    ],
)
def test_what_makes_sense_is_taken(given: dict[str, object]) -> None:
    assert made(CLUSTER, given).kafka_security_protocol == given.get("kafka_security_protocol", "PLAINTEXT")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({**SCRAM}, "needs KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD too"),
        ({**SCRAM, "kafka_sasl_username": "u"}, "SCRAM-SHA-512, which needs KAFKA_SASL_PASSWORD too"),
        ({**SCRAM, "kafka_sasl_password": "p"}, "needs KAFKA_SASL_USERNAME too"),
        ({**SCRAM, **KNOWN, "kafka_sasl_password": ""}, "KAFKA_SASL_PASSWORD"),
        ({"kafka_security_protocol": "SASL_SSL"}, "set KAFKA_SASL_MECHANISM too"),
        (KNOWN, "PLAINTEXT, which has no use for KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD; make it SASL_PLAINTEXT"),
        ({**TLS, **KNOWN, "kafka_sasl_mechanism": "PLAIN"}, "KAFKA_SASL_PASSWORD; make it SASL_SSL"),
        ({"kafka_ssl_check_hostname": False}, "no use for KAFKA_SSL_CHECK_HOSTNAME; make it SSL or SASL_SSL"),
        (
            {**SCRAM, **KNOWN, "kafka_security_protocol": "SASL_PLAINTEXT", "kafka_ssl_check_hostname": False},
            "SASL_PLAINTEXT, which has no use for KAFKA_SSL_CHECK_HOSTNAME; make it SASL_SSL",
        ),
        ({**TLS, "kafka_ssl_keyfile": __file__}, "KAFKA_SSL_CERTFILE and KAFKA_SSL_KEYFILE go together"),
        ({**TLS, "kafka_ssl_certfile": __file__}, "KAFKA_SSL_CERTFILE and KAFKA_SSL_KEYFILE go together"),
        ({**TLS, "kafka_ssl_key_password": "p"}, "KAFKA_SSL_KEY_PASSWORD needs KAFKA_SSL_KEYFILE"),
        ({**TOKENS}, "needs KAFKA_SASL_OAUTH_TOKEN_FILE or KAFKA_SASL_OAUTH_TOKEN_URL, one of the two"),
        ({**TOKENS, **ENDPOINT, "kafka_sasl_oauth_token_file": __file__}, "one of the two"),
        ({**TOKENS, "kafka_sasl_oauth_token_file": "absent"}, "KAFKA_SASL_OAUTH_TOKEN_FILE: absent cannot be read"),
        (
            {**TOKENS, "kafka_sasl_oauth_token_file": __file__, "kafka_sasl_oauth_scope": "s"},
            "KAFKA_SASL_OAUTH_SCOPE: of",
        ),
        (
            {**TOKENS, "kafka_sasl_oauth_token_url": "https://idp"},
            "needs KAFKA_SASL_OAUTH_CLIENT_ID and KAFKA_SASL_OAUTH_CLIENT_SECRET too",
        ),
        ({**TOKENS, **ENDPOINT, "kafka_sasl_oauth_token_url": "file:///etc/passwd"}, "KAFKA_SASL_OAUTH_TOKEN_URL"),
        ({**TOKENS, **ENDPOINT, **KNOWN}, "OAUTHBEARER, which has no use for KAFKA_SASL_USERNAME"),
        ({**SCRAM, **KNOWN, **ENDPOINT}, "SCRAM-SHA-512, which has no use for KAFKA_SASL_OAUTH_TOKEN_URL and"),
        ({"kafka_security_protocol": "TLS"}, "KAFKA_SECURITY_PROTOCOL"),
        ({**SCRAM, **KNOWN, "kafka_sasl_mechanism": "GSSAPI"}, "KAFKA_SASL_MECHANISM"),
    ],
)
def test_what_contradicts_itself_is_said(given: dict[str, object], says: str) -> None:
    assert says in "\n".join(problems(CLUSTER, given))


def test_all_of_it_is_said_at_once() -> None:
    given = {"kafka_security_protocol": "SASL_SSL", "kafka_ssl_certfile": "absent", "kafka_ssl_key_password": "p"}
    assert [each.split()[0] for each in problems(given)] == [
        "KAFKA_SECURITY_PROTOCOL",  # without addresses
        "KAFKA_SECURITY_PROTOCOL",  # without a mechanism
        "KAFKA_SSL_CERTFILE",  # without a key
        "KAFKA_SSL_KEY_PASSWORD",
        "KAFKA_SSL_CERTFILE:",  # not there
    ]


def test_the_embedded_broker_knows_no_security() -> None:
    assert "the embedded broker does not know" in problems(TLS)[0]


def test_files_that_hold_what_they_should_are_taken(authority: CertificateAuthority, client: Identity) -> None:
    files = {
        "kafka_ssl_cafile": str(authority.certificate),
        "kafka_ssl_certfile": str(client.certificate),
        "kafka_ssl_keyfile": str(client.key),
    }
    assert made(CLUSTER, TLS, files).tls_files.paths == (authority.certificate, client.certificate, client.key)


def test_every_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    files = {
        "kafka_ssl_cafile": tmp_path / "ca.pem",
        "kafka_ssl_certfile": tmp_path / "c.pem",
        "kafka_ssl_keyfile": tmp_path,
    }
    assert [each.partition(":")[0] for each in problems(CLUSTER, TLS, files)] == [
        "KAFKA_SSL_CAFILE",
        "KAFKA_SSL_CERTFILE",
        "KAFKA_SSL_KEYFILE",
    ]


def test_files_that_hold_something_else_are_named(
    tmp_path: Path, authority: CertificateAuthority, client: Identity
) -> None:
    nonsense, other = tmp_path / "nonsense.pem", authority.sign("other")
    nonsense.write_text("no certificate", "utf-8")
    pair = {"kafka_ssl_certfile": client.certificate, "kafka_ssl_keyfile": client.key}
    assert "KAFKA_SSL_CAFILE" in problems(CLUSTER, TLS, kafka_ssl_cafile=nonsense)[0]
    assert "or KAFKA_SSL_KEY_PASSWORD is wrong" in problems(CLUSTER, TLS, pair, kafka_ssl_keyfile=nonsense)[0]
    assert "do not belong together" in problems(CLUSTER, TLS, pair, kafka_ssl_keyfile=other.key)[0]


def test_a_key_with_a_password_needs_the_right_one(authority: CertificateAuthority) -> None:
    locked = authority.sign("locked", key_password="open sesame")
    pair = {"kafka_ssl_certfile": locked.certificate, "kafka_ssl_keyfile": locked.key}
    assert made(CLUSTER, TLS, pair, kafka_ssl_key_password="open sesame").speaks_tls
    for wrong in ({}, {"kafka_ssl_key_password": "wrong"}):
        (problem,) = problems(CLUSTER, TLS, pair, wrong)
        assert "KAFKA_SSL_KEY_PASSWORD is wrong" in problem
        assert "sesame" not in problem


def weak(*given: Mapping[str, object]) -> list[str]:
    return list(KafkaSecuritySettings.weaknesses(made(CLUSTER, *given)))


def test_what_weakens_a_promise_is_named() -> None:
    clear = {"kafka_security_protocol": "SASL_PLAINTEXT"}
    assert not weak(SCRAM, KNOWN)
    assert not weak(SCRAM, KNOWN, clear)
    assert ["password" in each for each in weak(SCRAM, KNOWN, clear, {"kafka_sasl_mechanism": "PLAIN"})] == [True]
    insecure = {"kafka_sasl_oauth_token_url": "http://idp"}
    assert ["token" in weak(TOKENS, ENDPOINT, clear)[0], "secret" in weak(TOKENS, ENDPOINT, insecure)[0]] == [
        True,
        True,
    ]
    assert "KAFKA_SSL_CHECK_HOSTNAME" in weak(TLS, {"kafka_ssl_check_hostname": False})[0]


@pytest.mark.parametrize(
    "given",
    [
        {**SCRAM, "kafka_sasl_username": "u", "kafka_sasl_password": "hunter2"},
        {**TOKENS, **ENDPOINT},
        {**TOKENS, **ENDPOINT, "kafka_sasl_oauth_token_url": "https://me:hunter2@idp/token"},
    ],
)
def test_secrets_are_shown_nowhere(given: dict[str, object]) -> None:
    settings = made(CLUSTER, given)
    assert "hunter2" not in " ".join(f"{each.environment} {each.value}" for each in describe_settings(settings))


def test_secrets_are_not_repeated_by_what_refuses_them(authority: CertificateAuthority) -> None:
    locked = authority.sign("hidden", key_password="right")
    pair = {"kafka_ssl_certfile": locked.certificate, "kafka_ssl_keyfile": locked.key}
    settings = made(CLUSTER, TLS, pair, kafka_ssl_key_password="right")
    assert "right" not in repr(settings) + repr(settings.tls_files)
    assert "hunter2" not in " ".join(problems(CLUSTER, ENDPOINT, kafka_sasl_password="hunter2"))
