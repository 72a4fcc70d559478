"""Jobs for the tests of `run_in_processes`. Each process imports this file, so it imports little, and no torch."""

import os
import signal
import time
from pathlib import Path

from data.errors import StorageFailed
from data.interrupt import Interrupts
from stages.embed.batching.float32_similarity import Float32Similarity
from stages.embed.pipeline.progress import EmbedProgress, EmbedReport, Progress

REPORT = EmbedReport(
    documents=3,
    encoded=2,
    already_stored=0,
    duplicate_texts=1,
    empty=0,
    windows=4,
    tokens=100,
    dropped_tokens=10,
    dropped_share=0.1,
    seconds=2.0,
    tokens_per_second=50.0,
    padding_efficiency=0.5,
    shards=1,
    failed=("a",),
    float32_similarity=Float32Similarity(0.9, 0.8, 10),
    batch_tokens=64,
)


def succeed(progress: Progress) -> EmbedReport:
    """Reports progress, and ends."""
    progress(EmbedProgress(1, 2, 10, 20, 5.0, 2.0, 0))
    return REPORT


def fail_with_full_disk(progress: Progress) -> EmbedReport:
    """Raises an error."""
    raise StorageFailed("The disk is full.")


def kill_itself(progress: Progress) -> EmbedReport:
    """Ends by a signal."""
    os.kill(os.getpid(), signal.SIGKILL)
    return REPORT


def exit_early(progress: Progress) -> EmbedReport:
    """Ends without a report."""
    os._exit(7)


def finish_late(path: Path, progress: Progress) -> EmbedReport:
    """Ends after the others."""
    progress(EmbedProgress(1, 2, 10, 20, 5.0, 2.0, 0))
    time.sleep(0.3)
    path.touch()
    return REPORT


def end_by_sigterm(path: Path, progress: Progress) -> EmbedReport:
    """Gets the SIGTERM of a scheduler, and cleans up."""
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    finally:
        path.write_text("cleaned up")
    return REPORT


def run_until_interrupted(path: Path, progress: Progress) -> EmbedReport:
    """Like `embed`: runs until it is interrupted, and then writes what it has."""
    path.with_suffix(".pid").write_text(str(os.getpid()))
    with Interrupts(lambda: None) as interrupts:
        while not interrupts.requested:
            progress(EmbedProgress(1, 2, 10, 20, 5.0, 2.0, 0))
            time.sleep(0.05)
        path.write_text("kept")
    raise KeyboardInterrupt
