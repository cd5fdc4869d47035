"""See that chaos notices: our own code is broken on purpose in a copy, and a small run must fail there."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.results import Progress
from tests.mutations.__main__ import copy_project, mutate
from tests.mutations.table import MUTATIONS, Mutation

_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Proof:
    """Say which run must notice which mutation.

    Attributes:
        mutation: The name of a mutation in `tests/mutations/table.py`.
        arguments: The run.
        evidence: What one of its lines must say, as a regular expression.
    """

    mutation: str
    arguments: str
    evidence: str


KILLS = "kill9_matrix --seed 1 --commands 1000"
STORM = "rebalance_storm --short --records 8000"

LOST = "nothing was seen of it"
STATE = "there is no such reason|follows version|the database keeps"
REPEATED = "and again at"

PROOFS = (
    Proof("commit the highest record that was read", f"{KILLS} --at random", LOST),
    Proof("count a record as done before its handler ends", f"{KILLS} --at random", LOST),
    Proof("commit the state before the events are sent", f"{KILLS} --at after_state_commit", STATE),
    Proof("do not wait for the event's acknowledgement", f"{KILLS} --at sent", STATE),
    Proof("give a partition back with work in hand", STORM, REPEATED),
    Proof("give a partition back without a commit", STORM, REPEATED),
)


def prove(kafka: str, progress: Progress) -> int:
    """Run every proof on a broker; return 0 when each was noticed."""
    unnoticed = 0
    for proof in PROOFS:
        begun = time.monotonic()
        noticed, words = noticed_by(mutation_named(proof.mutation), proof, kafka)
        unnoticed += not noticed
        verdict = "noticed" if noticed else "UNNOTICED"
        progress.say(f"{verdict} in {time.monotonic() - begun:.0f} s: {proof.mutation}")
        sys.stdout.write(f"{verdict:<10} {proof.mutation}\n{'':11}{proof.arguments}\n{'':11}{words}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{len(PROOFS) - unnoticed} of {len(PROOFS)} noticed\n")
    return int(unnoticed > 0)


def mutation_named(name: str) -> Mutation:
    """Return one mutation of the table.

    Raises:
        LookupError: there is none with this name.
    """
    for each in MUTATIONS:
        if each.name == name:
            return each
    raise LookupError(f"tests/mutations/table.py has no mutation {name!r}; mend PROOFS in tests/chaos/prove.py")


def noticed_by(mutation: Mutation, proof: Proof, kafka: str) -> tuple[bool, str]:
    """Say whether the run fails with the evidence, and return that line, or else how the run ended."""
    with tempfile.TemporaryDirectory(prefix="chaos-mutation-") as name:
        folder = Path(name)
        copy_project(folder)
        path = folder / mutation.path
        try:
            path.write_text(mutate(path.read_text("utf-8"), mutation), "utf-8")
        except ValueError as error:
            return False, str(error)
        code, words = _run(folder, proof.arguments.split(), kafka)
    line = next((each.strip() for each in words.splitlines() if re.search(proof.evidence, each)), None)
    if code == 1 and line is not None:
        return True, line[:300]
    return False, f"ended with {code}: {words[-1500:]}"


def _run(folder: Path, arguments: Sequence[str], kafka: str) -> tuple[int | None, str]:
    command = [sys.executable, "-m", "tests.chaos", *arguments]
    environment = os.environ | {"KAFKA_BOOTSTRAP_SERVERS": kafka, "PYTHONDONTWRITEBYTECODE": "1"}
    pipe = subprocess.PIPE
    with subprocess.Popen(  # noqa: S603
        command, cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    ) as process:
        try:
            output, errors = process.communicate(timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # its services with it
            return None, f"hung for {_SECONDS:g} s"
    return process.returncode, output + errors
