"""Several devices from one command: a process each, one progress, one report."""

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from data.errors import CallError, EmbedOnceError
from stages.embed.batching.quantization_error import Float32Similarity
from stages.embed.network.torch_network import resolve_device
from stages.embed.pipeline.interrupt import Interrupts
from stages.embed.pipeline.progress import EmbedProgress, EmbedReport, Progress

# what a process does: it encodes its part, on its device, and tells how far it is
Job = Callable[[Progress], EmbedReport]
# so long a process that was asked to leave at once may take
_PATIENCE = 10.0
_SUMMED = (
    *("documents", "encoded", "already_stored", "duplicate_texts", "empty", "windows", "tokens", "dropped_tokens"),
    *("tokens_per_second", "shards", "halvings"),
)


def parse_devices(asked: str) -> list[str]:
    """The devices that `--device` names: "cuda:0,cuda:1" two, "all" every CUDA device, or the one that "auto" means.

    A processor may be named more than once; its cores are shared out. Raises CallError for one that is not there, and
    for a CUDA device named twice.
    """
    if asked == "all":
        import torch

        return [f"cuda:{number}" for number in range(torch.cuda.device_count())] or ["auto"]
    names = [name.strip() for name in asked.split(",")]
    if len(names) > 1:
        for name in names:
            resolve_device(name)
        twice = next((name for name in names if name != "cpu" and names.count(name) > 1), None)
        if twice is not None:
            raise CallError(f"'{twice}' is named twice in --device {asked}: one process fills a card.")
    return names


def limit_to_cpu_share(number: int, of: int) -> None:
    """Have this process compute on share `number`, from 0, of the processor's cores, which it then has to itself."""
    import torch

    torch.set_num_threads(max(torch.get_num_threads() // of, 1))
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[number * len(cores) // of : (number + 1) * len(cores) // of] or cores)


@dataclass
class _Worker:
    """A process at work. now: how far it is; None until it has said so. result: what it came to."""

    process: BaseProcess
    pipe: Connection
    now: EmbedProgress | None = None
    result: EmbedReport | EmbedOnceError | None = None
    left: bool = False


def run_in_processes(jobs: Mapping[str, Job], progress: Progress | None = None) -> EmbedReport:
    """Run each job in a process of its own, and put their reports together.

    jobs: by what to call each, "cuda:0"; they can be pickled. Ctrl-C once lets each finish its batch, twice ends them
    now; both go on as KeyboardInterrupt. Raises EmbedOnceError, when all have come to an end, for one that failed or
    died; what the others did is kept.
    """
    workers: list[_Worker] = []
    with Interrupts(lambda: _interrupt(workers, progress)) as interrupts:
        try:
            for name, job in jobs.items():
                workers.append(_begun(name, job))
            _follow(workers, progress)
        except BaseException:  # a second Ctrl-C, most often
            _end(workers)
            raise
    if interrupts.requested:
        raise KeyboardInterrupt
    return merge_reports([_outcome(worker) for worker in workers])


def _begun(name: str, job: Job) -> _Worker:
    context = get_context("spawn")  # torch does not bear being forked
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(job, theirs), name=name, daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _work(job: Job, pipe: Connection) -> None:
    """In the process: do the job, and send what it tells and what it comes to."""
    if hasattr(os, "setpgrp"):
        os.setpgrp()  # a terminal's Ctrl-C reaches the first process alone, which hands it on
    with suppress(KeyboardInterrupt, BrokenPipeError):  # nobody listens any more: the first process is gone
        try:
            pipe.send(job(pipe.send))
        except EmbedOnceError as error:
            pipe.send(error)


def _follow(workers: Sequence[_Worker], progress: Progress | None) -> None:
    """Until all pipes are closed, take what comes and tell how far all are together."""
    while waiting := [worker for worker in workers if not worker.left]:
        ready = wait([worker.pipe for worker in waiting])
        for worker in (worker for worker in waiting if worker.pipe in ready):
            try:
                told = worker.pipe.recv()
            except (EOFError, OSError):
                worker.left = True
                worker.process.join()
                continue
            if not isinstance(told, EmbedProgress):
                worker.result = told
            elif not told.interrupted:
                worker.now = told
                if progress is not None:
                    progress(combine_progress([each.now for each in workers if each.now is not None], len(workers)))


def _interrupt(workers: Sequence[_Worker], progress: Progress | None) -> None:
    for worker in workers:
        if worker.now is None:  # nothing is begun that could be finished
            worker.process.terminate()
        elif worker.process.pid is not None and worker.process.is_alive():
            os.kill(worker.process.pid, signal.SIGINT)
    if progress is not None:
        progress(replace(combine_progress([], len(workers)), interrupted=True))


def _end(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        worker.process.terminate()
    for worker in workers:
        worker.process.join(_PATIENCE)
        worker.process.kill()


def _outcome(worker: _Worker) -> EmbedReport:
    name = worker.process.name
    if isinstance(worker.result, EmbedReport):
        return worker.result
    if worker.result is not None:
        raise type(worker.result)(f"On {name}: {worker.result}")
    code = worker.process.exitcode or 0
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    raise EmbedOnceError(
        f"The process on {name} {how} before it was done. What is committed is kept: run the same command again for "
        "the rest."
    )


def combine_progress(parts: Sequence[EmbedProgress], of: int) -> EmbedProgress:
    """How far all are: sums, and the time of the slowest. of: how many there will be; until all have told of
    themselves, nobody knows what is left."""
    left = [part.seconds_left for part in parts]
    known = [seconds for seconds in left if seconds is not None]
    return EmbedProgress(
        documents=sum(part.documents for part in parts),
        documents_total=sum(part.documents_total for part in parts),
        tokens=sum(part.tokens for part in parts),
        tokens_total=sum(part.tokens_total for part in parts),
        tokens_per_second=sum(part.tokens_per_second for part in parts),
        seconds_left=max(known) if len(known) == of else None,
        shards=sum(part.shards for part in parts),
        interrupted=any(part.interrupted for part in parts),
    )


def merge_reports(reports: Sequence[EmbedReport]) -> EmbedReport:
    """One report of what several processes did at the same time, each with a part."""
    padded = sum(report.tokens / report.padding_efficiency for report in reports if report.tokens)
    texts = sum(report.dropped_tokens / report.dropped_share for report in reports if report.dropped_share)
    texts += sum(report.tokens for report in reports if not report.dropped_share)
    sums = {name: sum(getattr(report, name) for report in reports) for name in _SUMMED}
    return replace(
        reports[0],
        **sums,
        seconds=max(report.seconds for report in reports),
        dropped_share=sums["dropped_tokens"] / max(texts, 1),
        padding_efficiency=sums["tokens"] / padded if padded else 0.0,
        failed=tuple(name for report in reports for name in report.failed),
        notes=tuple(dict.fromkeys(note for report in reports for note in report.notes)),
        float32_similarity=_merge_similarities(
            [report.float32_similarity for report in reports if report.float32_similarity is not None]
        ),
        batch_tokens=max(report.batch_tokens for report in reports),
    )


def _merge_similarities(similarities: Sequence[Float32Similarity]) -> Float32Similarity | None:
    if not similarities:
        return None
    windows = sum(each.windows for each in similarities)
    mean = sum(each.mean * each.windows for each in similarities) / windows
    return Float32Similarity(mean, min(each.worst for each in similarities), windows)
