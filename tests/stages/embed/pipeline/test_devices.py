"""One process per device: one store, one report, and what happens when a process fails, dies or is interrupted."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest

from data.errors import CallError, EmbedOnceError, StorageFailed
from featurestore import FeatureStore, KeyList, text_key
from stages.embed import Options
from stages.embed.batching.float32_similarity import Float32Similarity
from stages.embed.pipeline.devices import merge_reports, parse_devices, run_in_processes
from stages.embed.pipeline.embed_request import EmbedRequest
from stages.embed.pipeline.embed_source import embed_source
from stages.embed.pipeline.progress import EmbedProgress, EmbedReport, Progress
from stages.embed.windows.corpus_part import CorpusPart
from tests.stages.embed.conftest import Folders
from tests.stages.embed.pipeline.device_jobs import (
    REPORT,
    end_by_sigterm,
    exit_early,
    fail_with_full_disk,
    finish_late,
    kill_itself,
    succeed,
)
from tests.stages.embed.pipeline.test_encode_corpus import MANY, ROOT


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "many.jsonl"
    path.write_text("".join(json.dumps({"text": text, "label": str(row % 3)}) + "\n" for row, text in enumerate(MANY)))
    return path


def embed_file(source: Path, folder: Path, store: Path, device: str) -> tuple[FeatureStore, EmbedReport]:
    options = Options(model=str(folder), backend="torch", dtype="float32", device=device, keep=("mean",))
    request = EmbedRequest(source=str(source), options=options, store=store)
    return embed_source(request, notify=lambda _: None, progress=lambda _: None)


def test_two_processes_fill_a_store_as_one_does(source: Path, folders: Folders, tmp_path: Path) -> None:
    alone, one = embed_file(source, folders("bert"), tmp_path / "alone", "cpu")
    both, two = embed_file(source, folders("bert"), tmp_path / "both", "cpu,cpu")
    assert both.recipe == alone.recipe
    same = (
        "documents",
        "encoded",
        "already_stored",
        "duplicate_texts",
        "windows",
        "tokens",
        "part",
        "missing_in_other_parts",
    )
    assert {name: getattr(two, name) for name in same} == {name: getattr(one, name) for name in same}
    keys = sorted({text_key(text) for text in MANY})
    np.testing.assert_allclose(both.bags(keys).pooled(("mean",)), alone.bags(keys).pooled(("mean",)), atol=1e-5)
    assert embed_file(source, folders("bert"), tmp_path / "both", "cpu")[1].encoded == 0


def test_a_part_is_split_among_processes_without_overlap() -> None:
    keys, part = KeyList.from_texts(map(str, range(240))), CorpusPart(2, 3)
    owners = np.stack([each.contains(keys) for each in part.split(4)])
    np.testing.assert_array_equal(owners.sum(0), part.contains(keys))


def test_devices_are_parsed_and_missing_ones_reported() -> None:
    assert parse_devices("cpu") == ["cpu"]
    assert parse_devices("cpu, cpu") == ["cpu", "cpu"]
    assert parse_devices("all") == ["auto"] or parse_devices("all")[0] == "cuda:0"
    with pytest.raises(CallError, match="There is no device 'cuda:99' on this machine"):
        parse_devices("cpu,cuda:99")
    with pytest.raises(CallError, match="no device ''"):
        parse_devices("cpu,")


def test_reports_and_progress_are_merged() -> None:
    seen: list[EmbedProgress] = []
    report = run_in_processes({"one": succeed, "two": succeed}, seen.append)
    assert (report.documents, report.tokens, report.tokens_per_second, report.seconds) == (6, 200, 100.0, 2.0)
    assert (report.padding_efficiency, report.failed) == (0.5, ("a", "a"))
    assert report.dropped_share == pytest.approx(0.1)
    assert report.float32_similarity == Float32Similarity(0.9, 0.8, 20)
    assert [now.seconds_left for now in seen] == [None, 2.0]
    assert (seen[-1].tokens, seen[-1].tokens_total, seen[-1].tokens_per_second) == (20, 40, 10.0)
    assert merge_reports([REPORT]) == REPORT


@pytest.mark.parametrize(
    ("job", "kind", "sentence"),
    [
        (fail_with_full_disk, StorageFailed, "On cuda:1: The disk is full."),
        (
            kill_itself,
            EmbedOnceError,
            "The process on cuda:1 was ended by SIGKILL before it was done. What was committed is",
        ),
        (exit_early, EmbedOnceError, "The process on cuda:1 ended with exit code 7 before it was done."),
    ],
)
def test_a_process_that_fails_or_dies_is_reported_when_the_others_are_done(
    job: Progress, kind: type[EmbedOnceError], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=sentence):
        run_in_processes({"cuda:1": job, "cuda:0": partial(finish_late, tmp_path / "done")})  # type: ignore[dict-item]
    assert (tmp_path / "done").exists()


def test_a_process_that_gets_sigterm_cleans_up(tmp_path: Path) -> None:
    with pytest.raises(EmbedOnceError, match="before it was done"):
        run_in_processes({"cuda:0": partial(end_by_sigterm, tmp_path / "done")})
    assert (tmp_path / "done").read_text() == "cleaned up"


CHILD = """
import sys
from functools import partial
from pathlib import Path
from stages.embed.pipeline.devices import run_in_processes
from tests.stages.embed.pipeline.device_jobs import run_until_interrupted

def show(now):
    print("interrupted" if now.interrupted else "batch", flush=True)

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    try:
        run_in_processes({name: partial(run_until_interrupted, folder / name) for name in "ab"}, show)
    except KeyboardInterrupt:
        sys.exit(130)
"""


def start_child(tmp_path: Path) -> "subprocess.Popen[str]":
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    while not all((tmp_path / f"{name}.pid").exists() for name in "ab"):
        assert process.poll() is None
        process.stdout.readline()
    for _ in range(8):
        process.stdout.readline()
    return process


def test_ctrl_c_lets_every_process_finish_its_batch(tmp_path: Path) -> None:
    with start_child(tmp_path) as process:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")
    assert "interrupted" in out
    assert [(tmp_path / name).read_text() for name in "ab"] == ["kept", "kept"]


def test_processes_end_when_the_first_one_is_killed(tmp_path: Path) -> None:
    with start_child(tmp_path) as process:
        process.kill()
        process.communicate(timeout=60)
    processes = [int((tmp_path / f"{name}.pid").read_text()) for name in "ab"]
    end = time.monotonic() + 30
    while any(psutil.pid_exists(number) for number in processes) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(psutil.pid_exists(number) for number in processes)
