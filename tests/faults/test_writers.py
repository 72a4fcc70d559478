"""Several writers at once lose and double nothing."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from featurestore import FeatureStore
from tests.faults import embedding
from tests.faults.processes import ended, script
from tests.faults.whole import assert_equal, assert_whole, committed_windows


def test_two_processes_that_commit_at_once_lose_and_double_nothing(store: FeatureStore) -> None:
    body = (
        "store = FeatureStore.open(Path(sys.argv[1]))\n"
        "for number in range(8):\n"
        "    store.commit(content([f'{sys.argv[2]} {number}', f'both {number}'], seed=int(sys.argv[2])))\n"
    )
    for process in [script(body, store.folder, writer) for writer in (1, 2)]:
        assert ended(process) == (0, "")
    assert_whole(store.folder, documents=4 + 8 + 8 + 8)
    assert len(FeatureStore.open(store.folder).shards()) == 17


def test_two_processes_that_commit_the_same_content_at_once_make_one_shard(store: FeatureStore) -> None:
    body = "for _ in range(20):\n    FeatureStore.open(Path(sys.argv[1])).commit(content(['new'], seed=1))\n"
    for process in [script(body, store.folder) for _ in range(2)]:
        assert ended(process) == (0, "")
    assert_whole(store.folder, documents=5)
    assert len(FeatureStore.open(store.folder).shards()) == 2


def test_of_two_recipes_that_make_one_store_at_once_one_stays_and_the_other_is_refused(tmp_path: Path) -> None:
    rounds = 30
    body = (
        "import time\nfrom dataclasses import replace\nfrom data.errors import RecipeMismatch\n"
        "recipe = replace(RECIPE, window=int(sys.argv[2]))\n"
        "print('ready', flush=True); time.sleep(max(0, float(input()) - time.time()))\n"
        f"for number in range({rounds}):\n"
        "    try:\n"
        "        made = FeatureStore.create(Path(sys.argv[1]) / str(number), recipe).recipe\n"
        "        print('made' if made == recipe else 'wrong')\n"
        "    except RecipeMismatch:\n"
        "        print('refused')\n"
    )
    processes = [script(body, tmp_path, window) for window in (100, 200)]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    start = f"{time.time() + 0.2}\n"
    answers = [process.communicate(start, timeout=120)[0].split() for process in processes]
    assert len(answers[0]) == rounds
    assert all(sorted(pair) == ["made", "refused"] for pair in zip(*answers, strict=True))
    assert list(tmp_path.rglob(".tmp-*")) == []


def wait_until(holds: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize("writers", [2, pytest.param(4, marks=pytest.mark.long)])
def test_of_several_embeds_into_one_store_one_is_killed_and_the_others_complete_it(
    tmp_path: Path, short_texts: Path, tiny: Path, writers: int
) -> None:
    alone = embedding.start(tmp_path / "alone", short_texts, str(tiny))
    store = tmp_path / "store"
    killed, *others = [embedding.start(store, short_texts, str(tiny)) for _ in range(writers)]
    wait_until(lambda: len(list(store.glob("shards/*.h5"))) >= 3)
    assert killed.kill() == -signal.SIGKILL
    for other in (*others, alone):
        code, said = other.end()
        assert code == 0, said
    assert_equal(store, tmp_path / "alone")
    found = FeatureStore.open(store)
    assert set(committed_windows(store)) == set(alone.windows)
    assert len(found.select()) == found.documents == len(alone.windows)
