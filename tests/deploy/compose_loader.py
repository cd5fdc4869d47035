"""What Docker Compose itself reads compose files with, built from its Go module and kept in the cache."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from cqrs.testing.cache_folder import cache_folder

MODULE, VERSION = "github.com/compose-spec/compose-go/v2", "v2.16.2"

_MAIN = f"""\
package main

import (
	"context"
	"fmt"
	"os"

	"{MODULE}/cli"
)

func main() {{
	options, err := cli.NewProjectOptions(os.Args[1:], cli.WithOsEnv, cli.WithProfiles([]string{{"*"}}))
	if err == nil {{
		project, failure := options.LoadProject(context.Background())
		if err = failure; err == nil {{
			var text []byte
			if text, err = project.MarshalJSON(); err == nil {{
				fmt.Println(string(text))
			}}
		}}
	}}
	if err != nil {{
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}}
}}
"""
_DIGEST = hashlib.sha256(f"{_MAIN}{VERSION}".encode()).hexdigest()[:16]


class ComposeLoaderException(Exception):
    """Report that it cannot be built here; says what to try."""


def compose_loader() -> Path:
    """Return the program, from the cache or built now, in about half a minute.

    It takes files as `docker compose config` does, and prints what it understands as JSON; with the specification's
    schema, and with what services say of each other.

    Raises:
        ComposeLoaderException: Go is missing or failed.
    """
    place = cache_folder("compose-go") / _DIGEST
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as folder:
            (Path(folder) / "main.go").write_text(_MAIN)
            _go(folder, "mod", "init", "loader")
            _go(folder, "get", f"{MODULE}@{VERSION}")
            _go(folder, "build", "-o", "loader", ".")
            Path(folder, "loader").rename(place)
    return place


def _go(folder: str, *arguments: str) -> None:
    go = shutil.which("go")
    if go is None:
        raise ComposeLoaderException("compose.yaml is read with Go's help: put Go 1.24 or newer on the PATH")
    environment = os.environ | {"GOFLAGS": "-mod=mod -buildvcs=false", "CGO_ENABLED": "0"}
    done = subprocess.run(
        [go, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode:
        raise ComposeLoaderException(f"`go {' '.join(arguments)}` failed:\n{done.stderr}")
