"""Work items on many workers: processes of this machine, or a Ray cluster.

`engine.py` is the protocol, and what both engines do in the same way: a worker on each place, and a new one for one
that was lost. `local.py` and `ray_cluster.py` are the engines. `coordinator.py` hands out items until all are done,
`item_sizes.py` sizes them, and `worker_process.py` runs in each worker. Items and results are small; vectors and runs
are written by the workers. Nothing here knows what an item is: `stages/embed`, `stages/fitting` and `stages/sweep`
define theirs.
"""

from data.errors import EmbedOnceError
from stages.engines.coordinator import WorkQueue, run_items
from stages.engines.engine import Engine
from stages.engines.worker_process import Worker, WorkerFactory

__all__ = ["ENGINES", "Engine", "WorkQueue", "Worker", "WorkerFactory", "open_engine", "run_items"]

ENGINES = ("local", "ray")


def open_engine(name: str) -> Engine:
    """The engine called "local" or "ray". Raises ExtraMissing, and CallError if there is no cluster."""
    if name == "ray":
        from stages.engines.ray_cluster import RayEngine

        return RayEngine.connect()
    if name != "local":
        raise EmbedOnceError(f"There is no engine '{name}': use {' or '.join(ENGINES)}.")
    from stages.engines.local import LocalEngine

    return LocalEngine()
