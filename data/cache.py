"""Where what can be fetched or worked out again is kept between calls."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """$EMBEDONCE_CACHE, else $XDG_CACHE_HOME/embedonce, else ~/.cache/embedonce. Who writes there makes the folder."""
    if own := os.environ.get("EMBEDONCE_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "embedonce"
