"""Nodes of a Ray cluster as real `ray start` processes of this machine, and an engine that records what they do."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from stages.engines.engine import Event, Lost, Place
from stages.engines.ray_cluster import RayEngine
from stages.engines.worker_process import WorkerStart

ROOT = Path(__file__).resolve().parent.parent
FEW_PROCESSES = {"OMP_NUM_THREADS": "1", "RAY_enable_worker_prestart": "0", "RAY_prestart_worker_first_driver": "0"}
START_SECONDS = 120  # after which a node that has not started fails


@dataclass
class Node:
    """A `ray start --block` process. started: when."""

    name: str
    process: "subprocess.Popen[bytes]"
    started: float

    def kill(self) -> None:
        """Kill the node with all its processes at once, as a power cut does."""
        processes = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        for process in processes:
            process.kill()
        self.process.wait()


class Cluster:
    """A head without cores, and nodes with one core each."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.address, self.nodes = folder, f"127.0.0.1:{port}", dict[str, Node]()
        self.start("head", "--head", f"--port={port}", "--num-cpus=0", "--include-dashboard=false")

    def start(self, name: str, *options: str, **variables: str) -> Node:
        """Start a node; a worker node without `options`. variables: of its environment."""
        options = options or (f"--address={self.address}", "--num-cpus=1")
        program = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
        command = [*program, f"--node-name={name}", "--object-store-memory=80000000", *options]
        command += [f"--temp-dir={self.folder}"] if name == "head" else []
        environment = os.environ | {"PYTHONPATH": str(ROOT), **FEW_PROCESSES, **variables}
        started = time.monotonic()
        path = self.folder.parent / f"{name}-{len(self.nodes)}.log"
        with path.open("wb") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        self.nodes[name] = Node(name, process, started)
        while "Ray runtime started" not in path.read_text():  # two nodes that start together would take one port
            if process.poll() is not None or time.monotonic() - started > START_SECONDS:
                raise SystemExit(f"{name} did not start: {path.read_text()[-2000:]}")
            time.sleep(0.1)
        return self.nodes[name]

    def close(self) -> None:
        """Kill all nodes, the head last."""
        for node in reversed(list(self.nodes.values())):
            if node.process.poll() is None:
                node.kill()


class LoggedEngine(RayEngine):
    """Records when items are handed out and done, and calls `on_done` after each item."""

    def __init__(self, ray: Any) -> None:
        super().__init__(ray)
        self.launched, self.ready = dict[str, float](), dict[str, float]()  # by node
        self.open = dict[str, tuple[float, int]]()
        self.items = list[tuple[str, float, float, int]]()  # node, start, end, documents
        self.lost = list[tuple[str, float, int]]()  # node, when it was noticed, documents of its open item
        self.on_done: Callable[[], None] = lambda: None

    def start_seconds(self, node: str) -> float:
        """The time between the launch of a node's worker and its first item; 0 if it never was ready."""
        return self.ready[node] - self.launched[node] if node in self.ready else 0.0

    def launch(self, place: Place, start: WorkerStart) -> Any:
        """Record when a worker is launched."""
        self.launched[place.name.split()[0]] = time.monotonic()
        return super().launch(place, start)

    def submit(self, worker: str, item: Any, *, is_retry: bool) -> None:
        """Record the start."""
        self.open[worker] = time.monotonic(), len(item.rows)
        super().submit(worker, item, is_retry=is_retry)

    def poll(self, seconds: float) -> list[Event]:
        """Record what happened."""
        events = super().poll(seconds)
        for event in events:
            node, now = event.worker.split()[0], time.monotonic()
            since, documents = self.open.pop(event.worker, (now, 0))
            if isinstance(event.message, Lost):
                self.lost.append((node, now, documents))
            elif event.message is None:
                self.ready[node] = now
            elif not event.is_opening:
                self.items.append((node, since, now, documents))
                self.on_done()
        return events
