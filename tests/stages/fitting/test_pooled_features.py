"""Pooled vectors are computed once for all fits, read from a file by processes, and leave no file behind."""

import errno
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest

from featurestore import Bags, CorpusTable, FeatureStore, PooledFile
from heads.classifiers.linear import LinearHead
from heads.classifiers.prototype import PrototypeHead
from heads.linear_models.ngram_counts import NgramCounting, NgramCounts
from heads.registry import make_head
from stages.fitting import pooled_features
from stages.fitting.cross_fitting import RunFits, fit_one
from stages.fitting.fit_checkpoint import FOLDER
from stages.fitting.fit_head import fit_head
from stages.fitting.plan import FitPlan
from stages.fitting.pooled_features import PREFIX, PooledFeatures
from stages.fitting.task import load_task
from tests.small_store import blobs, make_store

Dataset = tuple[FeatureStore, CorpusTable]
PLAN = FitPlan(head=PrototypeHead(), folds=3, tune=False)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return make_store(tmp_path / "store", *blobs(["a", "b", "c"]))


@pytest.fixture
def in_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every array is large enough for a file, and no disk is too small."""
    monkeypatch.setattr(pooled_features, "IN_MEMORY", 0)
    monkeypatch.setattr(pooled_features, "SPARE_DISK", 0)


@pytest.fixture
def pooled_documents(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of documents of each pass that pools."""
    passes: list[int] = []
    pool = Bags.pooled_blocks

    def count(bags: Bags, names: Any, *size: int) -> Any:
        if tuple(names) not in bags.pooled_rows:
            passes.append(len(bags))
        return pool(bags, names, *size)

    monkeypatch.setattr(Bags, "pooled_blocks", count)
    return passes


def test_all_fits_of_all_heads_pool_the_training_documents_once(
    dataset: Dataset, tmp_path: Path, pooled_documents: list[int]
) -> None:
    with PooledFeatures(tmp_path / "runs") as pooled:
        for head in (PrototypeHead(), LinearHead(max_iter=5)):
            fit_head(*dataset, replace(PLAN, head=head), tmp_path / "runs", pooled=pooled)
    assert pooled_documents == [90, 30, 30]  # the training documents, and those of the test split for each head


@pytest.mark.usefixtures("in_file")
def test_a_run_is_the_same_with_and_without_shared_features(dataset: Dataset, tmp_path: Path) -> None:
    shared, _ = fit_head(*dataset, PLAN, tmp_path / "one")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PrototypeHead, "pooled_views", lambda *_: ())
        alone, _ = fit_head(*dataset, PLAN, tmp_path / "two")
    assert shared.name == alone.name and shared.predictions().scores.tolist() == alone.predictions().scores.tolist()
    assert not (tmp_path / "one" / FOLDER).exists()


@pytest.mark.usefixtures("in_file")
def test_a_process_that_fits_reads_the_file_and_no_vector_of_the_store(dataset: Dataset, tmp_path: Path) -> None:
    task = load_task(*dataset)
    with PooledFeatures(tmp_path) as pooled:
        fits = RunFits(
            PrototypeHead(),
            pooled.attach(task, PrototypeHead(), "source").labeled_bags(),
            PLAN.assign_folds(task),
            None,
            tmp_path / "run",
        )
        content = pickle.dumps(fits)
        for shard in (dataset[0].folder / "shards").iterdir():
            shard.unlink()
        received = pickle.loads(content)
        assert isinstance(fit_one(received, 0).result, np.ndarray)
        (rows,) = (rows.arrays[0] for rows in received.documents.train.pooled_rows.values())
        assert isinstance(rows, PooledFile) and rows.path.parent == tmp_path / FOLDER


@pytest.mark.usefixtures("in_file")
def test_all_documents_and_blocks_of_them_are_read_without_a_copy(dataset: Dataset, tmp_path: Path) -> None:
    names = ("cls", "segments", "max")
    with PooledFeatures(tmp_path) as pooled:
        bags = pooled.attach(load_task(*dataset), PrototypeHead(), "source").train
        (stored,) = (np.asarray(rows.arrays[0]) for rows in bags.pooled_rows.values())
        assert np.shares_memory(bags.pooled(names), stored) and not bags.pooled(names).flags.writeable
        assert all(np.shares_memory(block, stored) for _, block in bags.pooled_blocks(names, 7))
        rows = np.array([3, 1, 80])
        np.testing.assert_array_equal(bags[rows].pooled(names), stored[rows])


def test_heads_that_do_not_pool_share_no_vectors(dataset: Dataset, tmp_path: Path) -> None:
    with PooledFeatures(tmp_path) as pooled:
        assert not pooled.attach(load_task(*dataset), make_head("tfidf", {}), "source").train.pooled_rows


def test_all_fits_of_all_heads_count_ngrams_once(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []
    compute = NgramCounting.compute

    def count(counting: NgramCounting, bags: Bags) -> NgramCounts:
        counted.append(len(bags))
        return compute(counting, bags)

    monkeypatch.setattr(NgramCounting, "compute", count)
    with PooledFeatures(tmp_path / "runs") as pooled:
        for name in ("tfidf", "fused"):
            fit_head(*dataset, replace(PLAN, head=make_head(name, {})), tmp_path / "runs", pooled=pooled)
    assert counted == [90]


@pytest.mark.usefixtures("in_file")
def test_without_room_on_the_disk_each_fit_pools(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pooled_features, "SPARE_DISK", 2**62)
    with PooledFeatures(tmp_path) as pooled:
        assert not pooled.attach(load_task(*dataset), PrototypeHead(), "source").train.pooled_rows
    assert not (tmp_path / FOLDER).exists()


@pytest.mark.usefixtures("in_file")
def test_a_file_that_fills_the_disk_is_removed_at_once(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(bags: Bags, names: Any, file: BinaryIO) -> None:
        file.write(b"the first block")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pooled_features, "write_pooled", fill)
    with PooledFeatures(tmp_path) as pooled:
        assert not pooled.attach(load_task(*dataset), PrototypeHead(), "source").train.pooled_rows
        assert not list((tmp_path / FOLDER).iterdir())


@pytest.mark.usefixtures("in_file")
def test_the_file_of_an_interrupted_fit_is_removed(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> None:
        assert len(list((tmp_path / FOLDER).glob(f"{PREFIX}*"))) == 1
        raise KeyboardInterrupt

    monkeypatch.setattr(PrototypeHead, "fit", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fit_head(*dataset, PLAN, tmp_path)
    assert not (tmp_path / FOLDER).exists()


@pytest.mark.usefixtures("in_file")
def test_the_file_of_a_killed_process_is_removed_by_the_next_fit_and_that_of_a_living_one_is_not(
    dataset: Dataset, tmp_path: Path
) -> None:
    (tmp_path / FOLDER).mkdir()
    abandoned, living = (tmp_path / FOLDER / f"{PREFIX}{name}" for name in ("abandoned", "living"))
    abandoned.touch()
    code = f"import fcntl, time; f = open({str(living)!r}, 'wb'); fcntl.flock(f, 2); print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline()
        fit_head(*dataset, PLAN, tmp_path)
        assert not abandoned.exists() and living.exists()
        process.kill()
    with PooledFeatures(tmp_path) as pooled:
        pooled.attach(load_task(*dataset), PrototypeHead(), "source")
        assert not living.exists()


def test_the_files_of_workers_that_were_ended_are_removed_at_the_end_of_the_command(tmp_path: Path) -> None:
    with PooledFeatures(tmp_path):
        (tmp_path / FOLDER).mkdir()
        (tmp_path / FOLDER / f"{PREFIX}worker").touch()
    assert not (tmp_path / FOLDER).exists()


@pytest.mark.usefixtures("in_file")
def test_the_file_of_another_node_whose_locks_are_not_seen_here_is_kept_for_a_week(
    dataset: Dataset, tmp_path: Path
) -> None:
    (tmp_path / FOLDER).mkdir()
    recent, old = (tmp_path / FOLDER / f"features-another-node-{name}" for name in ("recent", "old"))
    for path in (recent, old):
        path.touch()
    os.utime(old, (1_000_000_000, 1_000_000_000))
    fit_head(*dataset, PLAN, tmp_path)
    assert recent.exists() and not old.exists()
