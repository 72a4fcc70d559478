"""The engine of a Ray cluster: one actor per GPU, or per group of cores of a node."""

import logging
import os
import signal
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any, Self

from data.errors import CallError, EmbedOnceError, ExtraMissing
from stages.engines.engine import Engine, Lost, Place
from stages.engines.local import groups_of_cores, usable_cores
from stages.engines.worker_process import Outcome, WorkerStart


@dataclass
class _Handle:
    actor: Any
    call: Any  # that runs; None if there is none


class RayEngine(Engine):
    """The workers of a cluster; made by `connect`."""

    def __init__(self, ray: Any) -> None:
        super().__init__()
        self._ray, self._actor_class = ray, _actor_class(ray)

    @classmethod
    def connect(cls) -> Self:
        """The cluster at RAY_ADDRESS, or one of this machine. Raises ExtraMissing, and CallError if there is none."""
        ray, address = _import_ray(), os.environ.get("RAY_ADDRESS", "")
        if "://" in address:
            raise CallError(f"RAY_ADDRESS is {address}, from outside a cluster: run `ray job submit -- embedonce ...`.")
        local = {"num_cpus": usable_cores(), "include_dashboard": False, "object_store_memory": 80 * 2**20}
        options = {"log_to_driver": False, "logging_level": logging.CRITICAL, **({} if address else local)}
        before = signal.getsignal(signal.SIGTERM)  # Ray replaces the handler
        try:
            if ":" in address:  # Ray itself would try for minutes
                socket.create_connection((address.rpartition(":")[0], address.rpartition(":")[2]), timeout=10).close()
            ray.init(address=address or "local", **options)
        except Exception as error:  # Ray raises many kinds
            raise CallError(_describe_no_cluster(address, error)) from error
        with suppress(ValueError):  # outside the main thread
            signal.signal(signal.SIGTERM, before)
        return cls(ray)

    def places(self) -> list[Place]:
        """The places on all nodes that are alive; those with GPUs alone if the workers use one and there are any."""
        nodes = [node for node in self._ray.nodes() if node["Alive"]]
        has_gpus = self.uses_gpu and any(node["Resources"].get("GPU", 0) >= 1 for node in nodes)
        return [place for node in nodes for place in _places_of_node(node, "GPU" if has_gpus else "CPU")]

    def launch(self, place: Place, start: WorkerStart) -> _Handle:
        """Start an actor, which waits for its share of the node."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as OnNode

        options = {"num_cpus": place.cores, "num_gpus": place.gpus, "max_restarts": 0}  # Ray would wait for its node
        actor = self._actor_class.options(**options, scheduling_strategy=OnNode(place.node, soft=False)).remote()
        return _Handle(actor, actor.open.remote(asdict(start), place.cores))

    def wait(self, handles: Mapping[str, _Handle], seconds: float) -> list[tuple[str, Outcome | Lost]]:
        """Wait for the calls."""
        calls = {handle.call: name for name, handle in handles.items() if handle.call is not None}
        time.sleep(0 if calls else seconds)
        ready = self._ray.wait(list(calls), num_returns=1, timeout=seconds)[0] if calls else []
        if ready:  # and all others that have ended
            ready, _ = self._ray.wait(list(calls), num_returns=len(calls), timeout=0)
        return [(calls[call], self._fetch(handles[calls[call]])) for call in ready]

    def _fetch(self, handle: _Handle) -> Outcome | Lost:
        call, handle.call, errors = handle.call, None, self._ray.exceptions
        try:
            return self._ray.get(call)  # type: ignore[no-any-return]
        except errors.RayTaskError as error:  # embedonce cannot be imported there
            cause = str(error).strip().splitlines()[-1]
            return Outcome(error=EmbedOnceError(f"embedonce cannot be used ({cause}). Install the same version there."))
        except errors.RayError as error:
            self.kill(handle)  # unreachable for a moment is lost, too
            return Lost(_describe_loss(error))

    def send(self, handle: _Handle, item: Any, *, is_retry: bool) -> None:
        """Call the actor."""
        handle.call = handle.actor.run.remote(item, is_retry)

    def stop(self, handle: _Handle) -> None:
        """Call it in its second thread."""
        handle.actor.stop.remote()

    def kill(self, handle: _Handle) -> None:
        """End the actor."""
        self._ray.kill(handle.actor)

    def close(self) -> None:
        """Disconnect; a cluster that was started for this call ends."""
        self._ray.shutdown()


def _import_ray() -> Any:
    # no telemetry, and no environments that uv would make on the nodes
    os.environ.update({"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0", **os.environ})
    try:
        vars(import_module("ray._private.worker"))["_worker_logs_enabled"] = False  # nodes would print to our stdout
        return import_module("ray")
    except ImportError as error:
        raise ExtraMissing("--on ray needs Ray, which is missing: pip install 'embedonce[ray]'.") from error


def _describe_no_cluster(address: str, error: Exception) -> str:
    if "AuthToken" in str(error.__cause__):  # Ray sets the mode itself only for a cluster on this machine
        return f"The cluster at RAY_ADDRESS, {address}, wants a token: set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN."
    where = f"There is no Ray cluster at RAY_ADDRESS, {address}" if address else "Ray could not be started"
    return f"{where} ({str(error).partition('. ')[0]}). Start one with `ray start --head`, or name another."


def _places_of_node(node: Mapping[str, Any], device: str) -> list[Place]:
    cores, devices = (int(node["Resources"].get(kind, 0)) for kind in ("CPU", device))
    count = devices if device == "GPU" else groups_of_cores(devices) if devices else 0
    names = (f"{node['NodeName']} ({node['NodeID'][:6]}) worker {number + 1}" for number in range(count))
    return [Place(each, node["NodeID"], cores // count, int(device == "GPU")) for each in names]


def _describe_loss(error: Exception) -> str:
    text = str(error).lower()  # an error of Ray lists everything that may have happened
    causes = {"unavailable": "no answer", "node was": "its node is gone", "low on memory": "no memory is left"}
    return next((cause for words, cause in causes.items() if words in text), "its process ended")


def _actor_class(ray: Any) -> Any:
    """The actor; as it is defined here, Ray sends its code, and other versions of embedonce can report theirs."""

    class EmbedOnceWorker:
        def open(self, start: dict[str, Any], cores: int) -> Any:
            from stages.engines.worker_process import WorkerProcess, WorkerStart

            self._worker = WorkerProcess()
            return self._worker.open(WorkerStart(**start), cores)

        def run(self, item: Any, is_retry: bool) -> Any:
            return self._worker.run(item, is_retry=is_retry)

        @ray.method(concurrency_group="control")  # type: ignore[untyped-decorator]
        def stop(self) -> None:
            self._worker.stop()

    return ray.remote(concurrency_groups={"control": 1})(EmbedOnceWorker)
