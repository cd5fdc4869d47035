"""The Dockerfile keeps what the image promises, and hadolint finds nothing in it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cqrs.config.sources import environment_names
from service.settings import OrderSettings
from tests.deploy.dockerfile import DOCKERFILE, ROOT, Stage, read_dockerfile

ARGUMENTS, STAGES = read_dockerfile()
FIRST, LAST = STAGES[0], STAGES[-1]
OF_PYTHON = {"PATH", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "HOME"}
PACKAGES = ("cqrs", "service")


def copied(stage: Stage) -> list[str]:
    return [source for each in stage.instructions if each.name == "COPY" for source in each.text.split()[:-1]]


def test_hadolint_finds_nothing() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert hadolint is not None, "hadolint is not beside this Python; `make setup` installs it"

    done = subprocess.run([hadolint, "--no-color", str(DOCKERFILE)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_no_other_frontend_is_fetched() -> None:
    directives = [
        line for line in DOCKERFILE.read_text("utf-8").splitlines() if re.match(r"#\s*(syntax|escape)\s*=", line)
    ]

    assert directives == []


def test_every_stage_begins_with_the_one_base_that_is_pinned_to_a_full_version() -> None:
    assert [stage.base for stage in STAGES] == ["${PYTHON_IMAGE}"] * 2
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+(@sha256:[0-9a-f]{64})?", ARGUMENTS["PYTHON_IMAGE"])


def test_packages_come_from_the_lock_by_hash_as_wheels_with_a_cache_between_builds() -> None:
    (install,) = (each for each in FIRST.instructions if each.name == "RUN" and "pip" in each.text)

    assert install.options == ("--mount=type=cache,target=/root/.cache/pip",)
    assert {"--require-hashes", "--only-binary"} <= set(install.text.split())
    assert "--requirement /build/requirements.lock" in install.text
    assert FIRST.instructions.index(install) < [each.text for each in FIRST.instructions].index("cqrs /app/cqrs")


def test_nothing_runs_in_the_last_stage_so_it_holds_the_base_and_what_is_copied() -> None:
    names = [each.name for each in LAST.instructions]

    assert not {"RUN", "ADD", "SHELL", "ONBUILD"} & set(names)
    assert copied(LAST) == ["/opt/venv", "/app"]
    assert all(each.options == ("--from=build",) for each in LAST.instructions if each.name == "COPY")


def test_code_and_schemas_are_inside_and_nothing_else_reaches_the_builder() -> None:
    ignored = [line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if not line.startswith("#")]

    assert copied(FIRST) == ["requirements.lock", *PACKAGES, "schemas"]
    assert ignored[0] == "*"
    assert sorted(line for line in ignored if line.startswith("!")) == sorted(f"!{each}" for each in copied(FIRST))


def test_it_runs_as_a_number_that_is_not_root() -> None:
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", LAST.the("USER").text)


def test_its_program_is_the_service_without_a_shell_between_it_and_signals() -> None:
    assert LAST.the("ENTRYPOINT").exec_form() == ["python", "-m", "service"]
    assert LAST.the("CMD").exec_form() == ["run"]
    assert LAST.the("STOPSIGNAL").text == "SIGTERM"


def test_its_health_is_asked_for_in_python() -> None:
    health = LAST.the("HEALTHCHECK")

    assert health.text == 'CMD ["python", "-m", "service", "health"]'
    assert any(option.startswith("--start-period") for option in health.options)


def test_its_labels_are_those_of_oci_and_are_given_at_build_time() -> None:
    labels, arguments = LAST.pairs("LABEL"), LAST.pairs("ARG")
    named = "org.opencontainers.image."

    assert all(label.startswith(named) for label in labels)
    for label, argument in {
        "version": "VERSION",
        "revision": "REVISION",
        "created": "CREATED",
        "source": "SOURCE",
    }.items():
        assert labels[named + label] == f"${{{argument}}}"
        assert argument in arguments
    assert labels[named + "licenses"] == "Apache-2.0"


def test_what_it_sets_are_settings() -> None:
    assert set(LAST.pairs("ENV")) <= {*environment_names(OrderSettings), *OF_PYTHON}


@pytest.mark.parametrize("name", ["ENTRYPOINT", "CMD", "HEALTHCHECK", "USER", "WORKDIR"])
def test_what_the_last_stage_says_it_says_once(name: str) -> None:
    assert [each.name for each in LAST.instructions].count(name) == 1
