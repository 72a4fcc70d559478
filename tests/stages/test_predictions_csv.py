"""The CSV and the JSON lines of `predict`: one line end, no two columns of one name, and paths of a taxonomy."""

import csv
import io
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.hierarchy import Hierarchy
from data.taxonomy import Taxonomy
from stages.fitting.predictions import ProbabilityColumns
from stages.predict import Prediction, write_predictions
from stages.taxonomy.paths import PathColumns, Paths


def test_a_label_named_prediction_gives_no_second_column_of_that_name() -> None:
    out, shares = io.StringIO(), np.array([0.75, 0.25], dtype=np.float32)
    predictions = [Prediction("7", "prediction", ("prediction",), shares)]
    write_predictions(predictions, ProbabilityColumns(["prediction", "ship"]), out, as_json=False)
    assert out.getvalue() == "id,prediction,probability:prediction,probability:ship\n7,prediction,0.75,0.25\n"


def test_ids_and_labels_that_a_spreadsheet_would_execute_are_texts_in_csv_and_unchanged_in_json() -> None:
    predictions = [Prediction("=1+1", "-a", ("-a",), np.array([0.75, 0.25], dtype=np.float32))]
    columns = ProbabilityColumns(["-a", "ship"])
    csv_out, json_out = io.StringIO(), io.StringIO()
    write_predictions(predictions, columns, csv_out, as_json=False)
    write_predictions(predictions, columns, json_out, as_json=True)
    assert csv_out.getvalue() == "id,prediction,'-a,ship\n'=1+1,'-a,0.75,0.25\n"
    assert json.loads(json_out.getvalue())["id"] == "=1+1"


LABELS = ("rec/a", "rec/b", "sci")
PATHS = Paths(Hierarchy.of(Taxonomy.from_separator(LABELS, "/"), LABELS))
SHARES = np.array([[0.5, 0.25, 0.25]], dtype=np.float32)


def written(codes: NDArray[Any], *, as_json: bool) -> str:
    """A prediction with the given codes, and one without finite vectors."""
    (paths,) = PATHS.of(codes[None], SHARES)
    labels = tuple(path[-1].node for path in paths)
    predictions = [Prediction("1", "decided", labels, SHARES[0], paths), Prediction("2")]
    out, columns = io.StringIO(), ProbabilityColumns(LABELS, 1)
    failed = write_predictions(
        predictions, columns, out, as_json=as_json, paths=PathColumns(PATHS, is_multilabel=codes.ndim > 0)
    )
    assert failed == ["2"]
    return out.getvalue()


def test_a_path_has_a_column_for_each_level_and_its_probability() -> None:
    header, leaf, empty = csv.reader(written(np.array(0), as_json=False).splitlines())
    assert header[:7] == [
        "id",
        "prediction",
        "path",
        "level_1",
        "level_1_probability",
        "level_2",
        "level_2_probability",
    ]
    assert leaf == ["1", "decided", "rec/a", "rec", "0.75", "a", "0.5", "rec/a", "0.5"]
    assert empty == ["2", *[""] * 8]
    inner = np.array(PATHS.hierarchy.names.index("rec"))
    assert written(inner, as_json=False).splitlines()[1].startswith("1,decided,rec,rec,0.75,,,")


def test_paths_in_json_are_lists_of_nodes() -> None:
    first, second = map(json.loads, written(np.array(0), as_json=True).splitlines())
    assert first["path"] == [
        {"node": "rec", "name": "rec", "probability": 0.75},
        {"node": "rec/a", "name": "a", "probability": 0.5},
    ]
    assert second == {"id": "2", "labels": None, "path": None, "probabilities": None}


def test_the_cells_of_several_labels_are_lists() -> None:
    names = ("rec", "rec/a", "rec/b", "sci")
    paths = Paths(Hierarchy.of(Taxonomy.from_separator(LABELS, "/"), names))
    columns = PathColumns(paths, is_multilabel=True)
    (both,) = paths.of(np.array([[True, True, True, False]]), np.array([[0.75, 0.5, 0.25, 0.1]]))
    assert columns.cells(both) == ['["rec/a", "rec/b"]', '["rec"]', "[0.75]", '["a", "b"]', "[0.5, 0.25]"]
    assert columns.cells(()) == ["[]"] * 5 and columns.to_json(()) == {"paths": []}
