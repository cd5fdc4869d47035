"""Where the kit keeps what it downloads or builds once: beside no checkout, so that all of them share it."""

import os
from pathlib import Path


def cache_folder(name: str) -> Path:
    """Return `$XDG_CACHE_HOME/cqrs-service-template/NAME`, below `~/.cache` where that is not set; it may be absent."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "cqrs-service-template" / name
