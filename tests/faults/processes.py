"""Processes of their own that work on a made-up store."""

import subprocess
import sys
from collections.abc import Callable

from tests.conftest import ROOT

SECONDS = 600


def script(body: str, *arguments: object, limits: Callable[[], None] | None = None) -> subprocess.Popen[str]:
    """A process that runs `body`, with what a test has at hand."""
    opening = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom featurestore import FeatureStore, text_key\n"
        "from tests.featurestore.made import RECIPE, content\n"
    )
    command = [sys.executable, "-c", opening + body, *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True, preexec_fn=limits
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Its exit code and what it said. One that does not end is killed, and the test fails."""
    try:
        out, _ = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return process.returncode, out
