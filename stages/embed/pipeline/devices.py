"""Runs one process per device, with one progress and one report for all."""

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from data.errors import CallError, EmbedOnceError
from data.interrupt import Interrupts
from stages.embed.batching.float32_similarity import Float32Similarity
from stages.embed.network.torch_network import resolve_device
from stages.embed.pipeline.progress import EmbedProgress, EmbedReport, Progress

# the work of one process: it encodes its part on its device, and reports its progress
Job = Callable[[Progress], EmbedReport]
# how long to wait for a process that was terminated
_TERMINATION_SECONDS = 10.0
# fields of a report that are added up
_SUMMED = (
    *("documents", "encoded", "already_stored", "duplicate_texts", "empty", "windows", "tokens", "dropped_tokens"),
    *("tokens_per_second", "shards", "halvings", "mostly_unknown"),
)


def parse_devices(text: str) -> list[str]:
    """The devices that `--device` names: "cuda:0,cuda:1", "all" for every CUDA device, or "auto".

    "cpu" may be named more than once; the processes then share its cores. Raises CallError for a device that does not
    exist here, and for a CUDA device that is named twice.
    """
    if text == "all":
        import torch

        return [f"cuda:{number}" for number in range(torch.cuda.device_count())] or ["auto"]
    names = [name.strip() for name in text.split(",")]
    if len(names) > 1:
        for name in names:
            resolve_device(name)
        twice = next((name for name in names if name != "cpu" and names.count(name) > 1), None)
        if twice is not None:
            raise CallError(f"'{twice}' is named twice in --device {text}. One process uses a GPU fully: name it once.")
    return names


def limit_to_cpu_share(share: int, shares: int) -> None:
    """Let this process use only one of `shares` equal shares of the CPU cores, the one numbered `share` from 0."""
    import torch

    torch.set_num_threads(max(torch.get_num_threads() // shares, 1))
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[share * len(cores) // shares : (share + 1) * len(cores) // shares] or cores)


@dataclass
class _Worker:
    """A running process. progress: None until it has reported any. result: its report, or the error that ended it."""

    process: BaseProcess
    pipe: Connection
    progress: EmbedProgress | None = None
    result: EmbedReport | EmbedOnceError | None = None
    has_ended: bool = False


def run_in_processes(jobs: Mapping[str, Job], progress: Progress | None = None) -> EmbedReport:
    """Run each job in a process of its own, and merge their reports.

    Ctrl-C once lets each process finish its batch, twice terminates them; both raise KeyboardInterrupt.

    Args:
        jobs: picklable jobs by the name that messages use, "cuda:0".
        progress: called with the progress of all processes together.

    Raises:
        EmbedOnceError: one process failed or died, after all have ended; what the others committed is kept.
    """
    workers: list[_Worker] = []
    with Interrupts(lambda: _forward_interrupt(workers, progress)) as interrupts:
        try:
            for name, job in jobs.items():
                workers.append(_start_worker(name, job))
            _receive_messages(workers, progress)
        except BaseException:  # usually a second Ctrl-C
            _terminate(workers)
            raise
    if interrupts.requested:
        raise KeyboardInterrupt
    return merge_reports([_result_of(worker) for worker in workers])


def _start_worker(name: str, job: Job) -> _Worker:
    context = get_context("spawn")  # torch does not support fork
    receiver, sender = context.Pipe()
    process = context.Process(target=_run_job, args=(job, sender), name=name, daemon=True)
    process.start()
    sender.close()
    return _Worker(process, receiver)


def _run_job(job: Job, pipe: Connection) -> None:
    """In the process: do the job, and send its progress and its result."""
    if hasattr(os, "setpgrp"):
        os.setpgrp()  # a terminal's Ctrl-C reaches only the first process, which forwards it
    with suppress(KeyboardInterrupt, BrokenPipeError):  # broken: the first process has ended
        # a SIGTERM of a scheduler or of the first process stops the work; complete documents are kept, and no temporary
        # file stays
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            pipe.send(job(pipe.send))
        except EmbedOnceError as error:
            pipe.send(error)


def _receive_messages(workers: Sequence[_Worker], progress: Progress | None) -> None:
    """Receive messages until all pipes are closed, and report the progress of all together."""
    while running := [worker for worker in workers if not worker.has_ended]:
        ready = wait([worker.pipe for worker in running])
        for worker in (worker for worker in running if worker.pipe in ready):
            try:
                message = worker.pipe.recv()
            except (EOFError, OSError):
                worker.has_ended = True
                worker.process.join()
                continue
            if not isinstance(message, EmbedProgress):
                worker.result = message
            elif not message.interrupted:
                worker.progress = message
                if progress is not None:
                    known = [worker.progress for worker in workers if worker.progress is not None]
                    progress(combine_progress(known, len(workers)))


def _forward_interrupt(workers: Sequence[_Worker], progress: Progress | None) -> None:
    for worker in workers:
        if worker.progress is None:  # there is no batch to finish yet
            worker.process.terminate()
        elif worker.process.pid is not None and worker.process.is_alive():
            os.kill(worker.process.pid, signal.SIGINT)
    if progress is not None:
        progress(replace(combine_progress([], len(workers)), interrupted=True))


def _terminate(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        worker.process.terminate()
    for worker in workers:
        worker.process.join(_TERMINATION_SECONDS)
        worker.process.kill()


def _result_of(worker: _Worker) -> EmbedReport:
    name = worker.process.name
    if isinstance(worker.result, EmbedReport):
        return worker.result
    if worker.result is not None:
        raise type(worker.result)(f"On {name}: {worker.result}")
    code = worker.process.exitcode or 0
    end = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    raise EmbedOnceError(
        f"The process on {name} {end} before it was done. What was committed is kept: run the same command again for "
        "the rest."
    )


def combine_progress(parts: Sequence[EmbedProgress], processes: int) -> EmbedProgress:
    """The progress of all processes: sums, and the remaining time of the slowest.

    processes: how many there are; the remaining time is unknown until all have reported.
    """
    known = [part.seconds_left for part in parts if part.seconds_left is not None]
    return EmbedProgress(
        documents=sum(part.documents for part in parts),
        documents_total=sum(part.documents_total for part in parts),
        tokens=sum(part.tokens for part in parts),
        tokens_total=sum(part.tokens_total for part in parts),
        tokens_per_second=sum(part.tokens_per_second for part in parts),
        seconds_left=max(known) if len(known) == processes else None,
        shards=sum(part.shards for part in parts),
        interrupted=any(part.interrupted for part in parts),
    )


def merge_reports(reports: Sequence[EmbedReport]) -> EmbedReport:
    """One report of what several processes did at the same time, each with one part."""
    padded_tokens = sum(report.tokens / report.padding_efficiency for report in reports if report.tokens)
    all_tokens = sum(report.dropped_tokens / report.dropped_share for report in reports if report.dropped_share)
    all_tokens += sum(report.tokens for report in reports if not report.dropped_share)
    sums = {name: sum(getattr(report, name) for report in reports) for name in _SUMMED}
    similarities = [report.float32_similarity for report in reports if report.float32_similarity is not None]
    return replace(
        reports[0],
        **sums,
        seconds=max(report.seconds for report in reports),
        dropped_share=sums["dropped_tokens"] / max(all_tokens, 1),
        padding_efficiency=sums["tokens"] / padded_tokens if padded_tokens else 0.0,
        failed=tuple(name for report in reports for name in report.failed),
        notes=tuple(dict.fromkeys(note for report in reports for note in report.notes)),
        float32_similarity=_merge_similarities(similarities),
        batch_tokens=max(report.batch_tokens for report in reports),
    )


def _merge_similarities(similarities: Sequence[Float32Similarity]) -> Float32Similarity | None:
    if not similarities:
        return None
    windows = sum(similarity.windows for similarity in similarities)
    mean = sum(similarity.mean * similarity.windows for similarity in similarities) / windows
    return Float32Similarity(mean, min(similarity.worst for similarity in similarities), windows)
