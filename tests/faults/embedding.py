"""`embedonce embed` in processes that a test may kill: small shards, and a line for each window that is encoded.

They are forked from one that has torch loaded: each takes half a second, not four.
"""

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from transformers.models.bert import modeling_bert  # noqa: F401 - what takes longest to load

import cli
from stages.embed.encoder import encoder
from stages.embed.network.torch_network import TorchNetwork
from stages.embed.pipeline import background, encode_corpus
from tests.conftest import ROOT

SECONDS = 300.0
FORKED = multiprocessing.get_context("forkserver")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is unlike a usual call. file_bytes: no file may be longer. counted: whether windows are written down."""

    shard_bytes: int = 4000
    file_bytes: int | None = None
    counted: bool = True


USUAL = Setting()


@dataclass
class Running:
    """One `embed`. windows: the file with a line of token ids for each window that it gave to the encoder."""

    process: ForkServerProcess
    windows_file: Path
    pipe: Connection
    started: float = field(default_factory=time.perf_counter)

    @property
    def windows(self) -> list[str]:
        """The token ids of each window that was given to the encoder."""
        return self.windows_file.read_text().splitlines() if self.windows_file.exists() else []

    def kill(self) -> int:
        """kill -9; its exit code, which tells whether it had ended before."""
        self.process.kill()
        return self.end()[0]

    def end(self) -> tuple[int, str]:
        """Wait for it; its exit code and what it said."""
        self.process.join(SECONDS)
        if self.process.exitcode is None:
            self.process.kill()
            raise TimeoutError("embed does not end")
        said = b""
        while self.pipe.poll() and (more := os.read(self.pipe.fileno(), 65536)):
            said += more
        self.pipe.close()
        return self.process.exitcode, said.decode()


def serve() -> None:
    """Start the process that the others are forked from; in the root of the project, where it finds its modules."""
    FORKED.set_forkserver_preload([__name__])
    before = Path.cwd()
    os.chdir(ROOT)
    try:
        first = FORKED.Process(target=int)
        first.start()
        first.join(SECONDS)
    finally:
        os.chdir(before)


def start(store: Path, source: Path, model: str, setting: Setting = USUAL) -> Running:
    """`embedonce embed SOURCE --model MODEL --store STORE`."""
    windows = store.with_name(f"{store.name}-windows-{time.time_ns()}")
    reader, writer = FORKED.Pipe(duplex=False)
    arguments = ["embed", str(source), "--model", model, "--store", str(store)]
    given = (arguments, windows, setting, writer, os.environ["EMBEDONCE_CACHE"])
    process = FORKED.Process(target=_embed, args=given)
    process.start()
    writer.close()
    return Running(process, windows, reader)


def _embed(arguments: Sequence[str], windows: Path, setting: Setting, said: Connection, cache: str) -> None:
    os.environ["EMBEDONCE_CACHE"] = cache
    torch.set_num_threads(1)
    for stream in (1, 2):
        os.dup2(said.fileno(), stream)
    if setting.file_bytes is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (setting.file_bytes, setting.file_bytes))
    sys.argv = ["embedonce", *arguments]
    with (
        patch.object(background, "SHARD_BYTES", setting.shard_bytes),
        patch.object(encode_corpus, "SLICE_SECONDS", 1e-9),
        patch.object(encoder, "TorchNetwork", _counted(windows) if setting.counted else TorchNetwork),
    ):
        cli.main()


def _counted(windows: Path) -> Callable[..., TorchNetwork]:
    file = os.open(windows, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    class Counted(TorchNetwork):
        loaded = False  # what it is tried on while it is loaded is no document's

        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            self.loaded = True

        def __call__(self, ids: torch.Tensor, lengths: torch.Tensor) -> Sequence[torch.Tensor]:
            own = [row[1 : length - 1].tolist() for row, length in zip(ids, lengths.tolist(), strict=True)]
            if self.loaded:
                os.write(file, "".join(" ".join(map(str, each)) + "\n" for each in own).encode())
            return super().__call__(ids, lengths)

    return Counted
