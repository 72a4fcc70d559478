"""A suggested command is accepted by the program, and says on what a run was fitted."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from heads.core.head import Head
from heads.core.hyperparameters import Hyperparameter, hyperparameters_in, to_json, with_explicit_defaults
from heads.registry import HEADS, LOADED_HEADS, STACKING_HEADS, make_head
from stages.comparing.data_checks import missing_baseline
from stages.comparing.repeat_command import has_defaults, reads_features, repeat_command
from stages.fitting import runs
from stages.fitting.decision_options import DecisionOptions
from stages.fitting.head_options import parse_heads
from tests.suggested_commands import parse, suggested

HEAD_NAMES = [*HEADS, *STACKING_HEADS]
TEXTS = ("true", "false", "cls,max", "segments", "7", "0.3", "none", "sqrt", "a b's")  # values of hyperparameters
RECORD = runs.Record(
    head="linear",
    hyperparameters={},
    inputs=(),
    layer=-1,
    seed=0,
    folds=5,
    tuned=True,
    store="news--minilm",
    recipe={},
    shards=(),
    corpus="news",
    documents={"train": 900, "test": 100},
    documents_hash="",
    kind="single",
    labels=("a", "b"),
    parameter_count=0,
    seconds={},
    predict_milliseconds=0.0,
    corpus_notes=(),
    run_notes=(),
    command="embedonce fit-head linear",
    created="",
    package_versions={},
)


def make_run(folder: str = "runs", **record: Any) -> runs.Run:
    return runs.Run(Path(folder, "linear-1"), replace(RECORD, **record), {})


def other_value(item: Hyperparameter) -> Any:
    """A value that is not the default, if one can be typed."""
    default, search = item.default, item.search
    for text in [*map(str, search.choices if search else ()), *TEXTS]:
        try:
            value = item.parse(text)
        except ValueError:
            continue
        if value != default:
            return value
    return default


def heads_with_other_values() -> Iterator[tuple[str, Head]]:
    for name in HEAD_NAMES:
        settings = {"local": "lstm"} if name == "cascade" else {}
        head = with_explicit_defaults(make_head(name, settings))
        items = [item for item in hyperparameters_in(head) if item.by_name is None and item.short_name != "seed"]
        yield name, head.set_params(**{item.name: other_value(item) for item in items})


def fitted_values(head: Head) -> dict[str, Any]:
    """The hyperparameters of a head that a command can set; a fit sets the others."""
    derived = ("seed", "tree", "columns", "order")
    items = [item for item in hyperparameters_in(head) if item.short_name not in derived]
    values = with_explicit_defaults(head).get_params()
    return {item.name: type(values[item.name]) if item.by_name else values[item.name] for item in items}


def test_every_hyperparameter_of_every_head_is_repeated() -> None:
    for name, head in heads_with_other_values():
        run = make_run(head=name, hyperparameters=to_json(head)["nested"], base_runs=("linear-1",) * (name == "stack"))
        if not reads_features(run):
            continue
        settings = parse(repeat_command(run, "fit-head"))["settings"]
        (repeated,) = parse_heads([name], settings)
        assert fitted_values(repeated) == fitted_values(head)
        assert len(settings) > 2, name
        parse(repeat_command(run, "sweep"))
        parse(repeat_command(run, "curve", head=f"{name} tfidf"))


def test_ensembles_and_fine_tuned_classifiers_are_not_fitted_alone() -> None:
    heads = [*STACKING_HEADS, *LOADED_HEADS]
    assert not any(reads_features(make_run(head=head)) for head in heads)
    assert all(reads_features(make_run(head=head)) for head in HEADS)


# the options of a command, next to the fields of the record and the command that made the run
CASES: Mapping[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a run of the defaults": ({}, {"store": ("news--minilm",), "corpus": "news", "folds": None, "test": True}),
    "names with spaces and quotes": (
        {"store": "O'Neil's store", "corpus": 'the "news"'},
        {"store": ("O'Neil's store",), "corpus": 'the "news"'},
    ),
    "a store in another folder": (
        {"command": "embedonce fit-head linear --stores 's3://bucket/my stores' --store=/data/news"},
        {"stores_folder": "s3://bucket/my stores", "store": ("/data/news",)},
    ),
    "several stores": (
        {"store": "one + two", "further_recipes": ({},)},
        {"store": ("one", "two")},
    ),
    "a seed": ({"seed": 7}, {"seed": 7}),
    "folds": ({"folds": 3}, {"folds": 3}),
    "5 folds of many documents": ({"documents": {"train": 30_000, "test": 9}}, {"folds": 5}),
    "folds of an encoder": ({"folds": 3, "fold_stores": ("one", "two", "three")}, {"folds": None}),
    "the validation split": ({"validate_on": "split", "folds": 0}, {"validate_on": "split", "folds": None}),
    "no test": ({"documents": {"train": 900}}, {"test": False}),
    "ordinal labels with commas": (
        {"kind": "ordinal", "labels": ("low, or lower", 'the "best"')},
        {"order": '"low, or lower","the ""best"""'},
    ),
    "numbers in an order": (
        {"kind": "ordinal", "command": "embedonce fit-head linear --order numbers"},
        {"order": "numbers"},
    ),
    "a level of a taxonomy": (
        {"scored_level": 1, "kind": "path", "taxonomy": {"a": [], "b": []}, "rule_options": {"labels_only": True}},
        {"scored_level": 1, "labels_only": True},
    ),
    "copies": ({"copies": {"news-deletion": 3, "news exchange": 1}}, {"augmented": ("news-deletion", "news exchange")}),
    "a layer": ({"layer": -4}, {"layer": -4}),
    "all layers": ({"head": "layermix", "layer": None}, {"layer": -1}),
    "documents without a label": ({"unlabeled": 3}, {"skip_unlabeled": True}),
    "weights": (
        {"command": "embedonce fit-head linear --weight 'how much' --weight-from w.csv --weight-id key"},
        {"weight": "how much", "weight_from": "w.csv", "weight_id": "key"},
    ),
    "an objective": (
        {"rule_options": DecisionOptions(objective="macro-fbeta", beta=2.0).to_json()},
        {"objective": "macro-fbeta", "beta": 2.0},
    ),
    "the precision of a label": (
        {"rule_options": DecisionOptions(objective="recall-at-precision", at=0.9, label="a b").to_json()},
        {"objective": "recall-at-precision", "at": 0.9, "for_label": "a b"},
    ),
    "the precision of each label": (
        {"rule_options": DecisionOptions(objective="recall-at-precision", at=0.9, per_label=True).to_json()},
        {"objective": "recall-at-precision", "per_label": True},
    ),
    "the default objective": ({"rule_options": DecisionOptions(objective="macro-f1").to_json()}, {"objective": None}),
    "another calibration": ({"tuned": False, "command": "embedonce fit-head linear --calibration none"}, {}),
    "a run of a sweep": (
        {"command": "embedonce --debug sweep linear --trials 3 --no-tabular --html sweep.html"},
        {"no_tabular": True},
    ),
    "a run of Python": ({"command": "embedonce.fit_head('linear')"}, {"corpus": "news"}),
    "a command that cannot be read": ({"command": "fit 'head"}, {"corpus": "news"}),
}


@pytest.mark.parametrize(("record", "expected"), CASES.values(), ids=list(CASES))
def test_the_documents_of_a_run_are_those_of_its_record(record: dict[str, Any], expected: dict[str, Any]) -> None:
    run = make_run(**record)
    lines = {
        "fit-head": repeat_command(run, "fit-head"),
        "baseline": repeat_command(run, "fit-head", head="tfidf"),
        "sweep": repeat_command(run, "sweep"),
        "curve": repeat_command(run, "curve", head=f"{run.record.head} tfidf"),
    }
    for name, line in lines.items():
        parameters = parse(line)
        shown = {option: value for option, value in expected.items() if name != "curve" or option in parameters}
        assert {option: _as_text(parameters[option]) for option in shown} == shown, line
        assert parameters["runs"] == Path("runs")


def _as_text(value: Any) -> Any:
    """A place as it is typed."""
    if isinstance(value, tuple):
        return tuple(map(str, value))
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def test_a_curve_of_the_same_head_has_its_hyperparameters() -> None:
    changed = make_run(hyperparameters=to_json(with_explicit_defaults(make_head("linear", {"C": 2.0})))["nested"])
    assert not has_defaults(changed) and has_defaults(make_run())
    assert parse(repeat_command(changed, "curve"))["settings"] == ("C=2.0",)
    assert parse(repeat_command(changed, "curve", head="linear tfidf"))["settings"] == ()
    assert parse(repeat_command(changed, "sweep"))["settings"] == ()


def test_only_the_same_head_has_the_rule_and_calibration_of_the_run() -> None:
    run = make_run(tuned=False, command="embedonce fit-head linear --calibration none --class-weight weights.json")
    words = repeat_command(run, "fit-head").split()
    assert {"--no-tune", "--calibration", "--class-weight"} <= set(words)
    parameters = parse(repeat_command(run, "fit-head", head="tfidf"))
    assert parameters["tune"] and parameters["calibration"] == "auto" and parameters["class_weight"] is None


def test_a_run_in_another_folder_comes_with_the_folder() -> None:
    run = make_run("my runs")
    for command in ("fit-head", "sweep", "curve"):
        assert parse(repeat_command(run, command))["runs"] == Path("my runs")


def test_a_cost_matrix_is_repeated_with_its_file_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "costs of errors.csv"
    file.write_text("label,a,b\na,0,1\nb,2,0\n")
    rule = {"objective": "cost", "costs": None}
    run = make_run(rule_options=rule, command=f"embedonce fit-head linear --objective cost --costs '{file}'")
    parameters = parse(repeat_command(run, "sweep"))
    assert parameters["objective"] == "cost" and parameters["costs"] == file
    assert parse(repeat_command(make_run(rule_options=rule), "sweep"))["objective"] is None


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"validate_on": "split"}, "`embedonce fit-head tfidf --store finetuned "),
        ({"validate_on": "folds"}, "the store of an encoder that did not learn from these labels"),
        ({"validate_on": "share"}, "Fine-tune with --folds"),
    ],
)
def test_the_baseline_of_a_fine_tuned_classifier_is_one_that_can_be_scored(
    settings: dict[str, str], expected: str
) -> None:
    command = f"embedonce finetune news.csv --text body --validate-on {settings['validate_on']}"
    validate_on = "folds" if settings["validate_on"] == "folds" else "split"
    run = make_run(
        head="finetuned",
        store="finetuned",
        command=command,
        hyperparameters={"finetune": settings},
        validate_on=validate_on,
    )
    step = missing_baseline(run).next_step
    assert expected in step
    for parameters in suggested(step):
        assert parameters["heads"] == ("tfidf",)
