"""The image without an engine: the steps of the Dockerfile carried out on this machine.

A stage is an overlay over this machine in place of its base image; what its steps write is its layers. The result runs
as with `docker run --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges`: from a tree that cannot
be written, as the image's own user, without any capability. Needs Linux, root, and util-linux.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cqrs.testing.cache_folder import cache_folder
from tests.deploy.dockerfile import ROOT, Instruction, Stage, filled, read_dockerfile

KEPT = "PIP_", "UV_", "SSL_", "HTTP_", "HTTPS_", "NO_PROXY", "http", "no_proxy", "LANG", "LC_"
"""Variables of this machine that an engine's build would have in its own way: how packages are reached."""

# A mount clears its working folder as it begins: one at the same time must have another.
_MOUNTED = """\
mount -t overlay overlay -o {mode},lowerdir=/,upperdir={layers},workdir="$(mktemp -d -p {work})" {root}
mount --rbind /dev {root}/dev
mount --rbind /proc {root}/proc
"""
_PREPARED = "/opt/base"


@dataclass(frozen=True, slots=True)
class Image:
    """Hold what the last stage says and where its layers are.

    Attributes:
        layers: The folder with everything that the last stage adds to its base.
        work: A folder for the overlays' own files, one below it for each process.
        root: An empty folder to mount it on; each process does so for itself.
        environment: What its ENV instructions say.
        workdir: Where its processes start.
        user: The number of its user.
        group: The number of its group.
        entrypoint: What is run.
        arguments: What is added when nobody says otherwise.
        healthcheck: What asks for its health.
    """

    layers: Path
    work: Path
    root: Path
    environment: Mapping[str, str]
    workdir: str
    user: int
    group: int
    entrypoint: Sequence[str]
    arguments: Sequence[str]
    healthcheck: Sequence[str]

    def bytes_added(self) -> int:
        """Return how many bytes its files add to the base."""
        return sum(path.lstat().st_size for path in self.layers.rglob("*") if path.is_file() or path.is_symlink())

    def command(
        self, arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None
    ) -> list[str]:
        """Return what runs the entrypoint with `arguments`, in a container's conditions."""
        return self.bare_command([*self.entrypoint, *(self.arguments if arguments is None else arguments)], environment)

    def bare_command(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> list[str]:
        """Return what runs any command so; its process becomes the command's, so signals reach it."""
        variables = [f"{name}={value}" for name, value in {**self.environment, **(environment or {})}.items()]
        nobody = ["setpriv", f"--reuid={self.user}", f"--regid={self.group}", "--clear-groups", "--no-new-privs"]
        dropped = ["--bounding-set=-all", "--inh-caps=-all"]
        inside = ["env", "-i", f"--chdir={self.workdir}", *variables, *command]
        script = _MOUNTED.format(mode="ro", layers=self.layers, work=self.work, root=self.root) + (
            f"mount -t tmpfs -o mode=1777,nosuid,nodev,noexec tmpfs {self.root}/tmp\n"
            f"exec chroot {self.root} {shlex.join([*nobody, *dropped, *inside])}\n"
        )
        return ["unshare", "--mount", "--propagation=private", "sh", "-euc", script]


def missing_for_image() -> str | None:
    """Say what keeps images from being made here, or None."""
    absent = [name for name in ("unshare", "setpriv", "chroot") if shutil.which(name) is None]
    if sys.platform != "linux" or os.geteuid() != 0 or absent:
        return f"the image is put together by root on Linux with util-linux ({', '.join(absent) or 'this is not it'})"
    return None


def build_image(folder: Path, context: Path = ROOT) -> Image:
    """Carry out the Dockerfile's steps below `folder` and return the image."""
    arguments, stages = read_dockerfile(context / "Dockerfile")
    builds = {stage.name: _Build(stage, folder / stage.name, context, arguments) for stage in stages}
    for build in builds.values():
        build.run({name: other.layers for name, other in builds.items()})
    last = stages[-1]
    build = builds[last.name]
    user, _, group = last.the("USER").text.partition(":")
    healthcheck = last.the("HEALTHCHECK").text.removeprefix("CMD").strip()
    return Image(
        layers=build.layers,
        work=build.work,
        root=build.root,
        environment=build.environment,
        workdir=build.workdir,
        user=int(user),
        group=int(group),
        entrypoint=last.the("ENTRYPOINT").exec_form(),
        arguments=last.the("CMD").exec_form(),
        healthcheck=Instruction("CMD", (), healthcheck).exec_form(),
    )


class _Build:
    """Carry out one stage."""

    def __init__(self, stage: Stage, folder: Path, context: Path, arguments: Mapping[str, str]) -> None:
        self._stage = stage
        self._context = context
        self._arguments = arguments
        self._values: dict[str, str] = {}
        self.layers, self.root, self.work = folder / "layers", folder / "root", folder / "work"
        for each in (self.layers, self.root, self.work):
            each.mkdir(parents=True)
        self.environment: dict[str, str] = {"PATH": f"{_PREPARED}/bin:/usr/local/bin:/usr/bin:/bin"}
        self.workdir = "/"
        self._interpreter = _interpreter()
        self._prepare()

    def run(self, layers: Mapping[str, Path]) -> None:
        """Carry out its instructions, given what other stages have written."""
        for each in self._stage.instructions:
            text = each.text if each.name == "RUN" else filled(each.text, {**self._values, **self.environment})
            match each.name:
                case "ARG":
                    for name, value in Stage("", "", [Instruction("ARG", (), text)]).pairs("ARG").items():
                        self._values[name] = value or self._arguments.get(name, "")
                case "ENV":
                    self.environment |= Stage("", "", [Instruction("ENV", (), text)]).pairs("ENV")
                case "WORKDIR":
                    self.workdir = text
                    self._at(text).mkdir(parents=True, exist_ok=True)
                case "COPY":
                    self._copy(each, text, layers)
                case "RUN":
                    self._run(each)
        shutil.rmtree(self._at(_PREPARED), ignore_errors=True)

    def _prepare(self) -> None:
        """Put a `python` with pip where the base image has its own, and let everybody reach its interpreter."""
        for each in self._interpreter.parents[:-1]:
            self._at(str(each)).mkdir(parents=True, exist_ok=True)
            self._at(str(each)).chmod(0o755)
        if any(each.name == "RUN" for each in self._stage.instructions):
            self._shell(f"{self._interpreter} -m venv {_PREPARED}")

    def _at(self, path: str) -> Path:
        return self.layers / path.lstrip("/")

    def _copy(self, instruction: Instruction, text: str, layers: Mapping[str, Path]) -> None:
        *sources, target = text.split()
        stage = next((option.removeprefix("--from=") for option in instruction.options), None)
        for source in sources:
            origin = layers[stage] / source.lstrip("/") if stage else self._context / _sent(source, self._context)
            place = self._at(target) / (origin.name if target.endswith("/") else "")
            place.parent.mkdir(parents=True, exist_ok=True)
            if origin.is_dir():
                ignored = None if stage else shutil.ignore_patterns("__pycache__", "*.pyc")
                shutil.copytree(origin, place, symlinks=True, dirs_exist_ok=True, ignore=ignored)
            else:
                shutil.copy2(origin, place)

    def _run(self, instruction: Instruction) -> None:
        caches: dict[str, Path] = {}
        for option in instruction.options:
            mount = re.fullmatch(r"--mount=type=cache,target=([^,]+)", option)
            assert mount is not None, f"RUN {option}: only cache mounts are known here"
            caches[mount[1]] = cache_folder("image") / mount[1].strip("/").replace("/", "-")
        self._shell(instruction.text, caches)
        for target in caches:  # an engine keeps what is mounted apart from the layer
            shutil.rmtree(self._at(target), ignore_errors=True)

    def _shell(self, script: str, caches: Mapping[str, Path] | None = None) -> None:
        mounted = _MOUNTED.format(mode="rw", layers=self.layers, work=self.work, root=self.root)
        for target, cache in (caches or {}).items():
            cache.mkdir(parents=True, exist_ok=True)
            mounted += f"mkdir -p {self.root}{target}\nmount --bind {cache} {self.root}{target}\n"
        kept = {name: value for name, value in os.environ.items() if name.startswith(KEPT)}
        variables = [
            f"{name}={value}" for name, value in {**kept, "HOME": str(Path.home()), **self.environment}.items()
        ]
        inside = ["env", "-i", f"--chdir={self.workdir}", *variables, "sh", "-euc", script]
        whole = f"{mounted}exec chroot {self.root} {shlex.join(inside)}\n"
        done = subprocess.run(
            ["unshare", "--mount", "--propagation=private", "sh", "-euc", whole],
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"


def _sent(source: str, context: Path) -> str:
    """Return `source` when .dockerignore lets it reach the builder."""
    rules = (context / ".dockerignore").read_text("utf-8").split("\n")
    assert "*" in rules, ".dockerignore lets everything in"
    assert f"!{source}" in rules, f".dockerignore keeps {source} from the builder"
    return source


def _interpreter() -> Path:
    """Return the interpreter of the image's version where it is installed, else the one that runs this."""
    arguments, _ = read_dockerfile()
    version = re.search(r"python:(\d+\.\d+)", arguments["PYTHON_IMAGE"])
    assert version is not None
    named = shutil.which(f"python{version[1]}") or sys.executable
    asked = "import ensurepip, sys; print(sys._base_executable)"
    for each in (named, sys.executable):
        done = subprocess.run([each, "-c", asked], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return Path(done.stdout.strip()).resolve()
    raise AssertionError("no Python here can make environments; on Debian: apt-get install python3-venv")
