"""A pinned revision of a model: what was embedded with it is predicted, explained and added to with it."""

import json
import shutil
from pathlib import Path

import pytest

from featurestore import FeatureStore
from stages.fitting import runs
from tests.conftest import Run
from tests.tiny_encoder import add_to_hub_cache, make_encoder

V1, V2 = "1" * 40, "2" * 40
NAME = "someone/tiny"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("models")
    return make_encoder(folder / "v1", seed=1), make_encoder(folder / "v2", seed=2)


@pytest.fixture
def cache(tmp_path: Path, models: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of a hub that cannot be reached: tag v1 is an older commit than the branch main."""
    from huggingface_hub import constants

    folder = tmp_path / "hub"
    for model, commit, revision in zip(models, (V1, V2), ("v1", "main"), strict=True):
        add_to_hub_cache(folder, NAME, model, commit, revision)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return folder


@pytest.fixture
def run(embedonce: Run, tmp_path: Path, cache: Path) -> runs.Run:
    """A run on features of revision v1."""
    rows = [{"text": f"{word} {row}", "label": word} for row in range(12) for word in ("oil price", "cup final")]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    done = embedonce("embed", "t.jsonl", "--model", NAME, "--revision", "v1", "--store", "store")
    assert done.code == 0, done.err
    assert embedonce("fit-head", "linear", "--folds", "2", "--store", "store").code == 0
    (run,) = runs.runs_in(tmp_path / "runs")
    return run


def test_store_and_run_keep_the_commit_and_the_requested_revision(tmp_path: Path, run: runs.Run) -> None:
    for recipe in (FeatureStore.open(tmp_path / "store").recipe, run.recipes[0]):
        assert (recipe.encoder, recipe.revision, recipe.commit) == (NAME, "v1", V1)


def test_predict_explain_and_embed_open_the_commit_that_was_embedded(embedonce: Run, run: runs.Run) -> None:
    predicted = embedonce("predict", run.name, "t.jsonl")
    assert predicted.code == 0, predicted.err
    explained = embedonce("explain", run.name, "1", "--store", "store")
    assert explained.code == 0 and "not available" not in explained.err
    for model in ([], ["--model", NAME]):
        again = embedonce("embed", "t.jsonl", "--store", "store", "--json", *model)
        assert again.code == 0, again.err
        assert json.loads(again.out)["encoded"] == 0


def test_a_tag_that_moves_and_a_branch_that_moves_change_nothing(embedonce: Run, cache: Path, run: runs.Run) -> None:
    (cache / "models--someone--tiny" / "refs" / "v1").write_text(V2)
    assert embedonce("predict", run.name, "t.jsonl").code == 0
    assert embedonce("embed", "t.jsonl", "--store", "store").code == 0


def test_a_copy_with_the_same_content_replaces_a_commit_that_is_not_available(
    embedonce: Run, cache: Path, models: tuple[Path, Path], run: runs.Run
) -> None:
    snapshots = cache / "models--someone--tiny" / "snapshots"
    (snapshots / V1).unlink()
    refused = embedonce("predict", run.name, "t.jsonl")
    assert refused.code != 0 and "weights is someone/tiny's" in refused.err
    (snapshots / V2).unlink()
    (snapshots / V2).symlink_to(models[0], target_is_directory=True)
    assert embedonce("predict", run.name, "t.jsonl").code == 0
    shutil.rmtree(snapshots)
    refused = embedonce("predict", run.name, "t.jsonl")
    assert refused.code != 0 and f"someone/tiny at revision {V1} is not available: HF_HUB_OFFLINE" in refused.err


def test_another_revision_is_another_recipe(embedonce: Run, run: runs.Run) -> None:
    refused = embedonce("embed", "t.jsonl", "--store", "store", "--revision", "main")
    assert refused.code == 2 and f"give --revision {V1} to add to this one" in refused.err


def test_a_folder_has_no_revision(embedonce: Run, run: runs.Run, models: tuple[Path, Path]) -> None:
    refused = embedonce("embed", "t.jsonl", "--model", models[0], "--revision", "v1")
    assert refused.code == 2 and "is a folder, and a folder has no revisions. Leave --revision out." in refused.err
    assert embedonce("predict", run.name, "t.jsonl", "--encoder", models[0]).code == 0
