"""Work items on many workers: processes of this machine, or a Ray cluster.

`engine.py` is the protocol, and what both engines do in the same way: a worker on each place, and a new one for one
that was lost. `local.py` and `ray_cluster.py` are the engines. `coordinator.py` hands out items until all are done,
`item_sizes.py` sizes them, and `worker_process.py` runs in each worker. Items and results are small; vectors and runs
are written by the workers. Nothing here knows what an item is: `stages/embed`, `stages/fitting` and `stages/sweep`
define theirs.
"""

from stages.engines.coordinator import WorkQueue, run_items
from stages.engines.engine import ENGINES, Engine, Worker, WorkerFactory, open_engine

__all__ = ["ENGINES", "Engine", "WorkQueue", "Worker", "WorkerFactory", "open_engine", "run_items"]
