"""Ctrl-C in a real process: once finishes the batch, twice stops at once."""

import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from data.interrupt import Interrupts
from featurestore import FeatureStore
from stages.embed import embed
from tests.stages.embed.conftest import Folders, Open
from tests.stages.embed.fakes import CountingNetwork, corpus, counting
from tests.stages.embed.pipeline.test_encode_corpus import ROOT, store_of

CHILD = """
import sys, time
from dataclasses import replace
from pathlib import Path
from stages.embed import Options, embed, open_encoder
from featurestore import FeatureStore
from tests.stages.embed.fakes import CountingNetwork, corpus
from tests.stages.embed.pipeline.test_encode_corpus import MANY

class PrintingNetwork(CountingNetwork):
    def __call__(self, ids, lengths):
        print("batch", flush=True)
        return super().__call__(ids, lengths)

def show(now):
    if now.interrupted:
        print("interrupted", flush=True)

encoder = open_encoder(Options(model=sys.argv[1], batch_tokens=64, dtype="float32", device="cpu"))
network = PrintingNetwork(encoder.dim, seconds=float(sys.argv[3]))
store = FeatureStore.create(Path(sys.argv[2]), encoder.recipe)
try:
    embed(corpus(MANY), replace(encoder, open_network=lambda _: network), store, show)
except KeyboardInterrupt:
    print("stopped", network.windows, flush=True)
    sys.exit(130)
"""


def child(folder: Path, store: Path, seconds: float) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", CHILD, str(folder), str(store), str(seconds)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(process: "subprocess.Popen[str]", word: str, times: int = 1) -> None:
    assert process.stdout is not None
    for _ in range(times):
        while (line := process.stdout.readline().strip()) != word:
            assert line or process.poll() is None, "it ended"


def test_one_interrupt_finishes_the_batch_and_keeps_the_slice_so_far(folders: Folders, tmp_path: Path) -> None:
    with child(folders("bert"), tmp_path / "store", 0.3) as process:
        wait_for(process, "batch", 4)  # all documents are one slice, of which three batches are through
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")
    encoded = int(out.split()[-1])
    store = FeatureStore.open(tmp_path / "store")
    assert 0 < encoded < 60
    assert store.documents == encoded
    assert len(store.verify()) == 1, "only that documents are missing"


def test_two_interrupts_stop_within_a_batch(folders: Folders, tmp_path: Path) -> None:
    with child(folders("bert"), tmp_path / "store", 600.0) as process:
        wait_for(process, "batch")
        process.send_signal(signal.SIGINT)
        wait_for(process, "interrupted")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out.split(), err) == (130, ["stopped", "0"], "")
    assert FeatureStore.open(tmp_path / "store").documents == 0


class InterruptingNetwork(CountingNetwork):
    """A signal comes while the batch numbered `at` is encoded."""

    def __init__(self, dim: int, at: int) -> None:
        super().__init__(dim)
        self.at = at

    def __call__(self, ids: torch.Tensor, lengths: torch.Tensor) -> Sequence[torch.Tensor]:
        if len(self.batches) == self.at:
            signal.raise_signal(signal.SIGINT)
        return super().__call__(ids, lengths)


def test_a_document_whose_windows_are_not_all_encoded_is_encoded_next_time(tiny: Open, tmp_path: Path) -> None:
    encoder, _ = counting(tiny(window=10, batch_tokens=24))
    network = InterruptingNetwork(encoder.dim, at=2)
    store = store_of(tmp_path, encoder)
    # full windows are longer than the rest of 3 tokens, which a later batch takes
    texts = [*("oil " * (10 + 3) + name for name in ("wheat", "price", "export")), "oil " * 10]
    with pytest.raises(KeyboardInterrupt):
        embed(corpus(texts), replace(encoder, open_network=lambda _: network), store)
    assert len(network.batches) == 3
    found = store.documents
    assert found < 4
    report = embed(corpus(texts), encoder, store)
    assert report.encoded == 4 - found
    assert store.verify() == []


def test_signal_handlers_are_restored_and_those_of_a_program_kept() -> None:
    with Interrupts(lambda: None) as interrupts:
        signal.raise_signal(signal.SIGINT)
    assert interrupts.requested
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    received = []
    before = signal.signal(signal.SIGINT, lambda *_: received.append(1))
    try:
        with Interrupts(lambda: None) as interrupts:
            signal.raise_signal(signal.SIGINT)
        assert (received, interrupts.requested) == ([1], False)
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_another_thread_nothing_changes() -> None:
    seen = []

    def inside() -> None:
        with Interrupts(lambda: None):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]
