"""Ray: what is missing is one sentence; with `make test-long`, a real cluster, whose workers are killed."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest

from data.errors import CallError, ExtraMissing
from featurestore import FeatureStore
from stages.embed.pipeline.embed_request import EmbedRequest
from stages.engines import open_engine
from stages.engines.ray_cluster import _describe_loss, _places_of_node
from tests.conftest import ROOT, started
from tests.tiny_encoder import SENTENCES, make_encoder


def put_ray(monkeypatch: pytest.MonkeyPatch, **functions: Any) -> None:
    """Have `import ray` find these functions alone."""
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(**functions))
    monkeypatch.setitem(sys.modules, "ray._private.worker", SimpleNamespace())


def test_without_the_extra_the_sentence_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ExtraMissing, match=r"--on ray needs Ray, which is missing: pip install 'embedonce\[ray\]'"):
        open_engine("ray")


@pytest.mark.parametrize("address", ["http://10.0.0.1:8265", "ray://10.0.0.1:10001"])
def test_an_address_for_calls_from_outside_names_ray_job_submit(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put_ray(monkeypatch)
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(CallError, match="run `ray job submit -- embedonce "):
        open_engine("ray")


@pytest.mark.parametrize(
    ("cause", "sentence"),
    [
        ("", r"There is no Ray cluster at RAY_ADDRESS, 10.0.0.1:6379 \(Failed to connect\)"),
        ("InvalidAuthToken: missing", "The cluster at RAY_ADDRESS, 10.0.0.1:6379, wants a token: set RAY_AUTH_MODE"),
    ],
)
def test_no_cluster_at_the_address_is_one_sentence(cause: str, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise ConnectionError("Failed to connect. See the logs.") from RuntimeError(cause)

    put_ray(monkeypatch, init=fail)
    monkeypatch.setattr("socket.create_connection", lambda *_, **__: SimpleNamespace(close=lambda: None))
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    with pytest.raises(CallError, match=sentence):
        open_engine("ray")


def test_an_address_where_nothing_listens_is_one_sentence_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    put_ray(monkeypatch)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(CallError, match=r"no Ray cluster at RAY_ADDRESS, 127.0.0.1:1 \(.*refused\)\. Start one with"):
        open_engine("ray")


def test_a_node_has_a_worker_per_gpu_or_per_group_of_cores() -> None:
    def node(**resources: float) -> dict[str, Any]:
        return {"NodeID": "abcdef012345", "NodeName": "host", "Resources": resources}

    places = _places_of_node(node(CPU=32.0, GPU=4.0), "GPU")
    assert [(place.cores, place.gpus) for place in places] == [(8, 1)] * 4
    assert places[0].name == "host (abcdef) worker 1" and len({place.name for place in places}) == 4
    assert [place.cores for place in _places_of_node(node(CPU=32.0, GPU=4.0), "CPU")] == [8] * 4
    assert [place.cores for place in _places_of_node(node(CPU=1.0), "CPU")] == [1]
    assert _places_of_node(node(memory=1.0), "CPU") == [] == _places_of_node(node(CPU=8.0), "GPU")


def test_the_reason_of_a_loss_is_a_few_words() -> None:
    assert _describe_loss(RuntimeError("The actor's node was terminated unexpectedly")) == "its node is gone"
    assert _describe_loss(RuntimeError("End of file. Some potential root causes: memory")) == "its process ended"


CHILD = """
import json, os, sys
from functools import partial
from pathlib import Path
import psutil
from benchmarks.sleeping_encoder import SleepingFactory, with_sleep
from featurestore import FeatureStore
from stages.embed import Options, open_encoder
from stages.embed.pipeline import engine_queue
from stages.embed.pipeline.embed_request import EmbedRequest
from stages.engines.ray_cluster import RayEngine

class Killing(RayEngine):
    submitted = 0
    def submit(self, worker, item, *, is_retry):
        super().submit(worker, item, is_retry=is_retry)
        self.submitted += 1
        if self.submitted == 3:
            for process in psutil.Process().children(recursive=True):
                if "EmbedOnceWorker" in " ".join(process.cmdline()):
                    process.kill()
                    break

if __name__ == "__main__":
    model, source, folder = sys.argv[1:]
    options = Options(model=model, backend="torch", precision="float32", dtype="float32", keep=("mean",), device="cpu")
    request, encoder = EmbedRequest(source=source, options=options), open_encoder(options)
    store = FeatureStore.create(Path(folder), encoder.recipe)
    engine_queue.FIRST_TOKENS = 500
    notes = []
    with Killing.connect() as engine:
        report = engine_queue.embed_on_engine(
            request.read(), encoder, store, request, engine, notify=notes.append, progress=lambda _: None,
            create_factory=partial(SleepingFactory, seconds=0.0005), seconds=1.0,
        )
    print(json.dumps({"notes": notes, "encoded": report.encoded, "documents": report.documents}))
"""


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """A tiny encoder and 400 documents; Ray, and its token, are for this test alone."""
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("EMBEDONCE_CACHE", str(tmp_path / "cache"))
    texts = (f"{SENTENCES[row % 7]} {row}" for row in range(400))
    source = tmp_path / "many.jsonl"
    source.write_text(
        "".join(json.dumps({"text": text, "label": str(row % 3)}) + "\n" for row, text in enumerate(texts))
    )
    return str(make_encoder(tmp_path / "encoder")), str(source)


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Wait until all processes that have this test's token have ended."""
    token = os.urandom(32).hex()
    monkeypatch.setenv("RAY_AUTH_TOKEN", token)
    yield
    end = time.monotonic() + 60
    while left := [process for process in psutil.process_iter() if _has_token(process, token)]:
        assert time.monotonic() < end, left
        time.sleep(0.5)


def _has_token(process: psutil.Process, token: str) -> bool:
    try:
        return process.pid != os.getpid() and bool(process.environ().get("RAY_AUTH_TOKEN") == token)
    except psutil.Error:
        return False


@pytest.mark.long
@pytest.mark.usefixtures("ends")
def test_a_killed_actor_costs_nothing_and_the_store_is_that_of_parts(inputs: tuple[str, str], tmp_path: Path) -> None:
    model, source = inputs
    child = [sys.executable, "-c", CHILD, model, source, str(tmp_path / "store")]
    result = subprocess.run(child, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert result.returncode == 0, result.stderr
    shown = json.loads(result.stdout.splitlines()[-1])
    assert any("was lost" in note and "another worker gets its item" in note for note in shown["notes"])
    from benchmarks.sleeping_encoder import with_sleep
    from stages.embed import Options, embed, open_encoder
    from stages.embed.windows.corpus_part import CorpusPart

    options = Options(model=model, backend="torch", precision="float32", dtype="float32", keep=("mean",), device="cpu")
    encoder = with_sleep(open_encoder(options), 0)
    parts = FeatureStore.create(tmp_path / "parts", encoder.recipe)
    for number in (1, 2):
        embed(EmbedRequest(source=source).read(), encoder, parts, part=CorpusPart(number, 2))
    store, keys = FeatureStore.open(tmp_path / "store"), sorted(parts.keys)
    assert sorted(store.keys) == keys and sum(len(shard.keys) for shard in store.shards()) == len(keys)
    np.testing.assert_array_equal(store.bags(keys).pooled(("mean",)), parts.bags(keys).pooled(("mean",)))


@pytest.mark.long
@pytest.mark.usefixtures("ends")
def test_ctrl_c_ends_the_cluster_and_the_same_command_resumes(inputs: tuple[str, str], tmp_path: Path) -> None:
    model, source = inputs
    command = ["embed", source, "--model", model, "--device", "cpu", "--store", "store", "--on", "ray"]
    with started(*command, cwd=tmp_path) as process:
        assert process.stderr is not None
        while "The store is" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 130 and "the same command resumes the work" in err and "Traceback" not in err
    with started(*command, cwd=tmp_path) as process:
        out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    assert "Traceback" not in out + err
    assert FeatureStore.open(tmp_path / "store").documents == 400


@pytest.mark.long
@pytest.mark.usefixtures("ends")
def test_ray_job_submit_runs_a_command_on_the_cluster(
    inputs: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("aiohttp_cors", reason="ray job submit needs ray[default]")
    port, dashboard = _free_port(), _free_port()
    folder = tempfile.mkdtemp(prefix="ray-")  # names of sockets are short
    ray = [sys.executable, "-m", "ray.scripts.scripts"]
    head = [*ray, "start", "--head", "--block", f"--port={port}", "--num-cpus=1", "--disable-usage-stats"]
    head += ["--include-dashboard=true", f"--dashboard-port={dashboard}", f"--temp-dir={folder}"]
    with (tmp_path / "head.log").open("wb") as log:
        cluster = subprocess.Popen([*head, "--object-store-memory=80000000"], cwd=tmp_path, stdout=log, stderr=log)
    try:
        while "Ray runtime started" not in (tmp_path / "head.log").read_text() or not _answers(dashboard):
            assert cluster.poll() is None, (tmp_path / "head.log").read_text()
            time.sleep(0.2)
        program = [sys.executable, str(ROOT / "cli.py"), "embed", inputs[1], "--model", inputs[0], "--device", "cpu"]
        submit = [*ray, "job", "submit", "--address", f"http://127.0.0.1:{dashboard}", "--", *program]
        done = subprocess.run(
            [*submit, "--store", str(tmp_path / "store"), "--on", "ray"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "400 documents: 400 encoded" in done.stdout
        assert FeatureStore.open(tmp_path / "store").documents == 400
    finally:
        if cluster.poll() is None:
            for process in [*psutil.Process(cluster.pid).children(recursive=True), cluster]:
                process.kill()
            cluster.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _answers(port: int) -> bool:
    with suppress(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port)).close()
        return True
    return False


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
