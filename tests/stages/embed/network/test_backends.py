"""Backends: the values of PyTorch, the quantization error of int8, and errors for what a backend does not support."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.errors import CallError, EmbedOnceError, ExtraMissing, StorageFailed, UnknownName
from featurestore import FeatureStore
from stages.embed import Options, embed, open_encoder
from stages.embed.batching.float32_similarity import measure_float32_similarity
from stages.embed.model_files.model_lookup import find_packaged_model
from stages.embed.network import graph_export
from stages.embed.network.backends import import_openvino, is_installed
from tests.encoding import encode
from tests.stages.embed.conftest import Folders, Open
from tests.stages.embed.fakes import corpus
from tests.tiny_encoder import SENTENCES

FAMILIES = ("bert", "roberta", "xlm-roberta", "distilbert", "mpnet", "electra", "deberta-v2")
GRAPHS = [
    pytest.param(name, marks=pytest.mark.skipif(not is_installed(name), reason=f"{name} is not installed"))
    for name in ("onnx", "openvino")
]
onnx = pytest.mark.skipif(not is_installed("onnx"), reason="onnx is not installed")
TEXTS = ["", "oil", *SENTENCES, " ".join(SENTENCES), "a\ud800b", "😀 " * 9]
ROOT = Path(__file__).parents[4]
TELEMETRY = "ORT_DISABLE_TELEMETRY"
EVERYTHING: dict[str, Any] = {"keep": ("cls", "mean", "max", "segments", "tokens"), "segment": 5}


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("graphs")


@pytest.fixture(autouse=True)
def own_cache(graphs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In place of an empty folder for each test, one for all, so that a graph is exported once."""
    monkeypatch.setenv("EMBEDONCE_CACHE", str(graphs))
    return graphs


@pytest.fixture
def empty_cache(own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EMBEDONCE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("backend", GRAPHS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_graph_gives_the_values_of_torch_in_padded_batches_of_any_shape(
    tiny: Open, family: str, backend: str
) -> None:
    options: dict[str, Any] = {"window": 20, "stride": 3, "batch_tokens": 150, **EVERYTHING}
    expected = encode(TEXTS, tiny(family, backend="torch", **options)).arrays
    actual = encode(TEXTS, tiny(family, backend=backend, **options)).arrays
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(actual[name], array, rtol=0, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("backend", GRAPHS)
def test_a_graph_gives_every_requested_layer_in_order(tiny: Open, backend: str) -> None:
    expected, actual = (
        encode(SENTENCES, tiny(layers="all", backend=name)).arrays["chunks/mean"] for name in ("torch", backend)
    )
    assert actual.shape == (len(SENTENCES), 3, 16)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4)


@pytest.mark.skipif(find_packaged_model("all-MiniLM-L6-v2") is None, reason="the packaged encoder is not installed")
@pytest.mark.parametrize("backend", GRAPHS)
def test_the_packaged_encoder_gives_the_values_of_torch(backend: str) -> None:
    expected, actual = (
        encode(TEXTS, open_encoder(Options(dtype="float32", window=40, backend=name, device="cpu"))).arrays
        for name in ("torch", backend)
    )
    for name, array in expected.items():
        np.testing.assert_allclose(actual[name], array, rtol=0, atol=1e-4, err_msg=name)


@pytest.mark.long
@pytest.mark.parametrize("backend", GRAPHS)
def test_a_backend_sends_no_telemetry_and_leaves_nothing_in_the_users_home(
    folders: Folders, tmp_path: Path, backend: str
) -> None:
    call = """
import sys
from stages.embed import Options, open_encoder
from tests.encoding import encode
precision = "int8" if sys.argv[2] == "onnx" else "float32"
encode(["oil"], open_encoder(Options(model=sys.argv[1], backend=sys.argv[2], precision=precision)))
print([name for name in sys.modules if "telemetry" in name])
"""
    environment = {name: value for name, value in os.environ.items() if name not in ("XDG_CACHE_HOME", TELEMETRY)}
    (tmp_path / "home").mkdir()
    process = subprocess.run(
        [sys.executable, "-c", call, str(folders("bert")), backend],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=300,
        env=environment | {"HOME": str(tmp_path / "home")},
    )
    assert not any("openvino_telemetry" in name for name in ast.literal_eval(process.stdout)), process.stderr
    assert list((tmp_path / "home").rglob("*")) == []


@onnx
def test_importing_onnx_runtime_leaves_nothing_in_the_users_home(tmp_path: Path) -> None:
    call = "from stages.embed.network.backends import import_onnxruntime; print(import_onnxruntime().__name__)"
    environment = {name: value for name, value in os.environ.items() if name not in ("XDG_CACHE_HOME", TELEMETRY)}
    (tmp_path / "home").mkdir()
    command, environment = [sys.executable, "-c", call], environment | {"HOME": str(tmp_path / "home")}
    process = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300, env=environment)
    assert (process.stdout, list((tmp_path / "home").rglob("*"))) == ("onnxruntime\n", []), process.stderr


@pytest.mark.parametrize("backend", GRAPHS)
@pytest.mark.parametrize("family", ["longformer", "nystromformer", "big_bird"])
def test_a_network_whose_trace_is_valid_for_one_shape_only_is_not_exported(
    tiny: Open, family: str, backend: str
) -> None:
    with pytest.raises(
        CallError, match=r"\(its computation depends on the shape of a batch, .*Embed with --backend torch"
    ):
        encode(SENTENCES, tiny(family, backend=backend))


@pytest.mark.parametrize("backend", GRAPHS)
def test_a_backend_is_in_the_recipe(tiny: Open, backend: str) -> None:
    assert tiny(backend=backend).recipe.backend == backend
    assert tiny(backend=backend).recipe.fingerprint != tiny().recipe.fingerprint
    assert tiny().recipe == tiny(backend="torch").recipe


@onnx
def test_int8_uses_onnx_by_default_and_is_in_the_recipe(tiny: Open) -> None:
    recipe = tiny(precision="int8").recipe
    assert (recipe.precision, recipe.backend) == ("int8", "onnx")


@pytest.mark.parametrize("backend", GRAPHS)
def test_the_similarity_of_int8_is_the_cosine_of_its_mean_vectors_with_those_of_float32(
    tiny: Open, backend: str
) -> None:
    quantized = tiny(precision="int8", backend=backend, keep=("mean",))
    exact = tiny(keep=("mean",))
    a, b = (encode(SENTENCES, encoder).arrays["chunks/mean"].astype(float) for encoder in (quantized, exact))
    cosines = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    similarity = measure_float32_similarity(SENTENCES, quantized)
    assert similarity is not None
    assert similarity.windows == len(SENTENCES)
    assert (similarity.mean, similarity.worst) == pytest.approx((cosines.mean(), cosines.min()), abs=1e-3)
    assert 0.9 < similarity.worst < similarity.mean < 1


@pytest.mark.skipif(not is_installed("openvino"), reason="openvino is not installed")
def test_the_graph_for_openvino_has_8_bits_per_weight_of_a_matrix_product(tiny: Open, empty_cache: Path) -> None:
    import onnx

    encode(SENTENCES, tiny(precision="int8", backend="openvino"))
    graphs = [onnx.load(path).graph for path in empty_cache.glob("graphs/*/graph.onnx")]
    float_graph, quantized = sorted(graphs, key=lambda graph: len(graph.node))
    nodes = [node for node in quantized.node if node.op_type == "DequantizeLinear"]
    types = {tensor.name: tensor.data_type for tensor in quantized.initializer}
    weights = {tensor.name for tensor in float_graph.initializer if len(tensor.dims) == 2}
    products = {node.input[1] for node in float_graph.node if node.op_type == "MatMul"}
    assert {node.output[0] for node in nodes} == weights & products != set()
    assert {types[node.input[0]] for node in nodes} == {onnx.TensorProto.UINT8}
    assert not types.keys() & weights & products


@pytest.mark.skipif(not is_installed("openvino"), reason="openvino is not installed")
@pytest.mark.parametrize(("precision", "hint"), [("float32", "f32"), ("bfloat16", "bf16"), ("int8", "f32")])
def test_openvino_computes_in_the_number_type_of_the_recipe_not_in_its_default(
    tiny: Open, monkeypatch: pytest.MonkeyPatch, precision: str, hint: str
) -> None:
    openvino, hints = import_openvino(), []
    compile_model = openvino.compile_model

    def compile_and_record(path: str, device: str, properties: dict[str, Any]) -> Any:
        hints.append(properties["INFERENCE_PRECISION_HINT"])
        return compile_model(path, device, properties)

    monkeypatch.setattr(openvino, "compile_model", compile_and_record)
    similarity = measure_float32_similarity(SENTENCES, tiny(backend="openvino", precision=precision))
    assert hints == ["f32", hint]  # the network in float32 is opened first
    assert similarity is not None
    assert similarity.mean > 0.999


def test_bfloat16_on_this_cpu_is_near_to_float32_and_its_distance_is_recorded(tiny: Open, tmp_path: Path) -> None:
    encoder = tiny(precision="bfloat16")
    report = embed(corpus(SENTENCES), encoder, FeatureStore.create(tmp_path / "store", encoder.recipe))
    assert report.float32_similarity is not None
    assert 0.999 <= report.float32_similarity.mean < 1
    assert "The vectors in bfloat16 have a cosine similarity with those in float32 of 0.99" in report.sentences()[0]


@pytest.mark.skipif(find_packaged_model("all-MiniLM-L6-v2") is None, reason="the packaged encoder is not installed")
def test_the_packaged_encoder_in_bfloat16_is_near_to_float32() -> None:
    encoder = open_encoder(Options(precision="bfloat16", window=40, device="cpu"))
    similarity = measure_float32_similarity(SENTENCES, encoder)
    assert similarity is not None
    assert similarity.mean >= 0.999
    assert similarity.worst >= 0.999


@onnx
def test_the_similarity_of_int8_is_reported_and_recorded(tiny: Open, tmp_path: Path) -> None:
    encoder = tiny(precision="int8")
    store = FeatureStore.create(tmp_path / "store", encoder.recipe)
    report = embed(corpus(SENTENCES), encoder, store)
    assert report.float32_similarity is not None
    (record,) = (tmp_path / "store" / "records").iterdir()
    assert json.loads(record.read_text())["float32_similarity"] == {
        "mean": report.float32_similarity.mean,
        "worst": report.float32_similarity.worst,
        "windows": len(SENTENCES),
    }
    mean, worst = report.float32_similarity.mean, report.float32_similarity.worst
    assert f"with those in float32 of {mean:.4f} on average and {worst:.4f} at worst" in report.sentences()[0]


def test_float32_has_no_similarity(tiny: Open, tmp_path: Path) -> None:
    encoder = tiny()
    report = embed(corpus(SENTENCES), encoder, FeatureStore.create(tmp_path / "store", encoder.recipe))
    assert report.float32_similarity is None


@onnx
def test_texts_without_a_position_have_no_similarity(tiny: Open) -> None:
    assert measure_float32_similarity([""], tiny(precision="int8", special_tokens=False)) is None
    assert measure_float32_similarity([], tiny(precision="int8")) is None


@onnx
def test_a_graph_is_exported_once(tiny: Open, empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = encode(SENTENCES, tiny(backend="onnx")).arrays["chunks/mean"]
    monkeypatch.setattr(graph_export, "_write", lambda *_: pytest.fail("it was exported again"))
    np.testing.assert_array_equal(encode(SENTENCES, tiny(backend="onnx")).arrays["chunks/mean"], expected)
    assert [path.name for path in empty_cache.glob("graphs/*/*")].count("graph.onnx") == 1


@onnx
@pytest.mark.parametrize("damage", ["flipped", "cut", "gone", "unknown"])
def test_a_damaged_graph_is_exported_again(tiny: Open, empty_cache: Path, damage: str) -> None:
    expected = encode(SENTENCES, tiny(backend="onnx")).arrays["chunks/mean"]
    (path,) = empty_cache.glob("graphs/*/graph.onnx")
    content = path.read_bytes()
    if damage == "flipped":
        path.write_bytes(content[:2000] + bytes([content[2000] ^ 1]) + content[2001:])
    elif damage == "cut":
        path.write_bytes(content[:-1])
    elif damage == "gone":
        path.unlink()
    else:
        (path.parent / "hashes.json").write_text("[")
    np.testing.assert_array_equal(encode(SENTENCES, tiny(backend="onnx")).arrays["chunks/mean"], expected)
    assert path.read_bytes() == content
    assert [path.name for path in (empty_cache / "graphs").iterdir()] == [path.parent.name]


@onnx
def test_an_interrupted_export_leaves_no_graph(tiny: Open, empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(graph_export, "_hashes", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            encode(SENTENCES, tiny(backend="onnx"))
    assert list((empty_cache / "graphs").iterdir()) == []
    encode(SENTENCES, tiny(backend="onnx"))


@onnx
def test_a_cache_folder_that_cannot_be_written_to_raises_an_error(tiny: Open, empty_cache: Path) -> None:
    empty_cache.write_text("a file where a folder belongs")
    with pytest.raises(StorageFailed, match=r"cannot be made: .* set EMBEDONCE_CACHE to another folder"):
        encode(SENTENCES, tiny(backend="onnx"))


@onnx
def test_an_encoder_that_cannot_be_exported_raises_an_error(
    tiny: Open, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise RuntimeError("no such operator\nand a long trace")

    monkeypatch.setattr(graph_export, "_export", refuse)
    with pytest.raises(
        CallError, match=r"cannot be exported as an ONNX graph \(no such operator\)\. Embed with --backend torch\."
    ):
        encode(SENTENCES, tiny(backend="onnx"))


@pytest.mark.parametrize(
    ("backend", "missing", "sentence"),
    [
        (
            "onnx",
            "onnxruntime",
            r"The backend onnx needs onnxruntime: pip install 'embedonce\[onnx\]', or embed with --backend",
        ),
        ("openvino", "openvino", r"The backend openvino needs openvino: pip install 'embedonce\[openvino\]', or"),
    ],
)
@onnx
def test_a_backend_that_is_not_installed_names_its_extra(
    tiny: Open, monkeypatch: pytest.MonkeyPatch, backend: str, missing: str, sentence: str
) -> None:
    find_spec = sys.modules["importlib.util"].find_spec
    monkeypatch.setattr(
        "stages.embed.network.backends.find_spec", lambda name: None if name == missing else find_spec(name)
    )
    with pytest.raises(ExtraMissing, match=sentence):
        tiny(backend=backend)


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"backend": "onx"}, UnknownName, "There is no backend called 'onx'. Did you mean 'onnx'?"),
        (
            {"backend": "torch", "precision": "int8"},
            CallError,
            "The backend torch computes in float32, bfloat16 and float16, not in int8. Embed with --backend onnx or "
            "openvino.",
        ),
        (
            {"backend": "openvino", "precision": "float16"},
            CallError,
            "The backend openvino computes in float32, bfloat16 and int8, not in float16. Embed with --backend torch.",
        ),
        (
            {"backend": "onnx", "precision": "bfloat16"},
            CallError,
            "The backend onnx computes in float32 and int8, not in bfloat16. Embed with --backend torch or openvino.",
        ),
        (
            {"backend": "onnx", "device": "cuda"},
            CallError,
            "The backend onnx runs on the CPU, not on cuda. Leave --device out, or embed with --backend torch.",
        ),
    ],
)
def test_what_a_backend_does_not_support_raises_an_error(
    tiny: Open, options: dict[str, str], error: type[EmbedOnceError], sentence: str
) -> None:
    with pytest.raises(error) as raised:
        tiny(**options)
    assert str(raised.value).startswith(sentence)
