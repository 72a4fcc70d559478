"""Workers of different speeds that are killed, refuse, fail or join: every item is done, and what is lost is small."""

import os
import signal
from typing import Any

import pytest

from data.errors import CallError, EmbedOnceError
from stages.engines import run_items
from stages.engines.coordinator import MAX_ATTEMPTS
from stages.engines.worker_process import WorkerProcess, WorkerStart
from tests.stages.engines.simulated import Factory, Handle, Machine, Simulation, Units


def run(engine: Simulation, queue: Units, **options: Any) -> list[str]:
    notes: list[str] = []
    run_items(engine, Factory(), queue, notify=notes.append, **options)
    return notes


def test_all_work_is_done_once_and_unequal_workers_finish_within_an_item_of_each_other() -> None:
    engine = Simulation({"fast": Machine(400), "slow": Machine(100), "slower": Machine(50)})
    queue = Units(100_000)
    assert run(engine, queue) == []
    assert engine.committed == dict.fromkeys(range(100_000), 1)
    last = [times[-1] for times in engine.done.values()]
    assert max(last) - min(last) < 20
    assert engine.now < 1.1 * 100_000 / 550
    lengths = [len(item) / engine.machines[name].rate for name, item in engine.items]
    assert max(lengths) < 21 and sum(length > 15 for length in lengths) > 10


@pytest.mark.parametrize("time", [0.0, 0.5, 1.0, 1.05, 5.0, 60.0, 61.7, 150.0, 195.0])
def test_a_killed_worker_costs_its_open_item_and_its_start_wherever_it_is_killed(time: float) -> None:
    undisturbed, queue = Simulation({name: Machine(10) for name in "abcd"}), Units(8_000, first=1)
    run(undisturbed, queue)
    engine = Simulation({name: Machine(10, kills=[time + 0.01] if name == "b" else []) for name in "abcd"})
    notes = run(engine, queue := Units(8_000, first=1))
    assert sorted(engine.committed) == list(range(8_000))
    assert sum(map(len, queue.finished)) == 8_000
    assert set(engine.committed.values()) == {1}  # what a lost worker had committed is not done again
    assert engine.now <= undisturbed.now + 20 + 1
    assert [note.startswith("b was lost (killed)") for note in notes] == [True]


def test_three_workers_killed_in_one_run_lose_nothing() -> None:
    machines = {name: Machine(100, kills=[30.0 * number]) for number, name in enumerate("abc", 1)}
    engine = Simulation({**machines, "d": Machine(25)})
    run(engine, Units(40_000))
    assert engine.committed == dict.fromkeys(range(40_000), 1)


def test_a_machine_that_joins_gets_its_first_item_at_once_and_one_that_it_can_do_in_time() -> None:
    engine = Simulation({"a": Machine(100), "new": Machine(100, since=50.0)})
    run(engine, Units(20_000))
    assert engine.done["new"][0] <= 50.0 + 20 + 1 + 0.2


def test_a_worker_that_refuses_is_named_once_and_the_others_do_its_work() -> None:
    engine = Simulation({"a": Machine(100), "b": Machine(100, refuses="It has another encoder.")})
    assert run(engine, Units(1_000)) == ["On b: It has another encoder. It is not used."]
    assert len(engine.committed) == 1_000 and not engine.done["b"]


def test_if_all_workers_refuse_the_reason_is_the_error_and_no_item_was_handed_out() -> None:
    engine = Simulation({name: Machine(100, refuses="It reads other texts.") for name in "ab"})
    with pytest.raises(EmbedOnceError, match=r"On [ab]: It reads other texts."):
        run(engine, Units(1_000))
    assert engine.items == []


def test_a_worker_that_always_dies_is_given_up_and_its_reason_is_the_error() -> None:
    engine = Simulation({"a": Machine(100, kills=[0.5, 1.0, 1.5, 2.0])})
    with pytest.raises(EmbedOnceError, match=r"a was lost \(killed\)"):
        run(engine, Units(1_000))


def test_an_item_that_fails_ends_the_run_after_the_open_items() -> None:
    engine = Simulation({"a": Machine(100), "b": Machine(10)})
    engine.failing = {400}
    with pytest.raises(EmbedOnceError, match=r"On a: The disk is full."):
        run(engine, queue := Units(100_000))
    assert sum(map(len, queue.finished)) == len(engine.committed) < 100_000


class Deadly(Simulation):
    """Every worker dies that has the first item."""

    def send(self, handle: Handle, item: Any, *, is_retry: bool) -> None:
        super().send(handle, item, is_retry=is_retry)
        if 0 in item:
            self.machines[handle.name].kills.append(self.now + 0.01)


def test_an_item_whose_workers_all_die_is_left_out_with_an_error() -> None:
    engine = Deadly({name: Machine(100) for name in "abcdef"})
    with pytest.raises(EmbedOnceError, match=r"with the same item; it is left out. What was committed is kept"):
        run(engine, Units(1_000))
    assert sum(0 in item for _, item in engine.items) == MAX_ATTEMPTS


def test_an_item_that_ends_the_only_worker_three_times_is_named_as_the_reason() -> None:
    with pytest.raises(EmbedOnceError, match=r"with the same item; it is left out. What was committed is kept"):
        run(Deadly({"a": Machine(100)}), Units(1_000))


class Interrupted(Simulation):
    """A user presses Ctrl-C when the fifth item is handed out."""

    def send(self, handle: Handle, item: Any, *, is_retry: bool) -> None:
        super().send(handle, item, is_retry=is_retry)
        if len(self.items) == 5:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("leaves_items", [True, False])
def test_ctrl_c_hands_out_nothing_more(leaves_items: bool) -> None:
    engine, shown = Interrupted({name: Machine(100) for name in "ab"}), []
    with pytest.raises(KeyboardInterrupt):
        run(engine, Units(100_000), on_interrupt=lambda: shown.append(1), leaves_items=leaves_items)
    assert len(engine.items) in (5, 6) and shown == [1]
    assert set(engine.committed.values()) == {1}


def test_a_process_with_another_version_refuses_before_it_reads_the_factory() -> None:
    start = WorkerStart("0.0.1", ".", {}, b"not a pickle")
    error = WorkerProcess().open(start, cores=1).error
    assert isinstance(error, CallError) and "0.0.1 where the command was started. Install the same one." in str(error)


def test_a_process_that_does_not_see_the_folder_says_that_it_must_be_shared() -> None:
    start = WorkerStart.of(Factory())
    outcome = WorkerProcess().open(WorkerStart(start.version, "/no/such/folder", {}, start.factory), cores=1)
    assert "the folder /no/such/folder cannot be opened here" in str(outcome.error)
