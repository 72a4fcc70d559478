"""Hierarchies: the decisions of HiClass and its speed, cross-fitted results on three corpora, and planted problems.

    python -m benchmarks.hierarchy [--part equality]... [--wikivitals FILE] [--newsgroups STORE] [--reuters STORE]
        [--folder F] [--scale 0.1] [--json]

equality: predictions of `cascade` and of HiClass with the same local classifier of scikit-learn, GaussianNB on a few
principal components. speed: the fit of `cascade` and of HiClass per parent node with logistic regression, seconds
in turn, medians of 3 rounds. wikivitals: five folds over all articles, no test split. newsgroups: the test split is
read once. reuters: a two-stage cascade, and a taxonomy that is suggested by the confusions of `linear`, out of fold.
planted: made-up problems. The benchmark of decoding is benchmarks/decoding.py.

Differences are paired over documents, with 95 % confidence intervals. --scale makes the made-up
corpora smaller. Needs hiclass 5.0.8, of the extra dev.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np

from benchmarks.hierarchy_corpora import (
    Classifier,
    LabeledPaths,
    Score,
    compare_on_newsgroups,
    compare_on_reuters,
    compare_on_wikivitals,
    read_wikivitals,
)
from benchmarks.hierarchy_planted import planted_problems
from benchmarks.measuring import Claim, Topic, at_least, at_most, print_topic
from heads.classifiers.cascade import CascadeHead
from heads.linear_models.standardizer import Standardizer
from heads.local_strategies.problems import Strategy

PARTS = ("equality", "speed", "wikivitals", "newsgroups", "reuters", "planted")
SPEED_BAR, GAIN_BAR, SAME_HF = 10.0, 0.10, 0.002
C, MAX_ITER, ROUNDS = 0.05, 300, 3
COMPONENTS = 8  # of the vectors: with more, GaussianNB rounds probabilities to 0 and 1, and ties are broken by order


def hiclass_of(strategy: Strategy, local: object) -> Classifier:
    """HiClass's classifier of a strategy, on paths of equal length."""
    from hiclass import LocalClassifierPerLevel, LocalClassifierPerNode, LocalClassifierPerParentNode

    kinds = {"parent": LocalClassifierPerParentNode, "level": LocalClassifierPerLevel, "node": LocalClassifierPerNode}
    found: Classifier = kinds[strategy](local_classifier=local, n_jobs=1)
    return found


def random_paths(seed: int, documents: int = 300, nodes: int = 25, dim: int = 8) -> LabeledPaths:
    """Documents of the leaves, at any depth, of a random tree; vectors are noise around a mean of the leaf."""
    rng = np.random.default_rng(seed)
    paths: list[tuple[str, ...]] = [("n0",), ("n1",)]
    for node in range(2, nodes):
        paths.append((*paths[rng.integers(len(paths))], f"n{node}"))
    above = {path[:-1] for path in paths}
    leaves = [path for path in paths if path not in above]
    codes = rng.permutation(np.resize(np.arange(len(leaves)), documents))
    vectors = rng.normal(size=(len(leaves), dim))[codes] + rng.normal(size=(documents, dim))
    return LabeledPaths(vectors.astype(np.float32), [leaves[code] for code in codes])


def generated_paths(documents: int, leaves: int, dim: int = 384, levels: int = 5, seed: int = 0) -> LabeledPaths:
    """Documents of a tree whose nodes have four children, with frequent and rare leaves.

    Each node moves the mean of the vectors below it; features have variances as those of an encoder fall.
    """
    rng = np.random.default_rng(seed)
    share = rng.permutation(1 / np.sqrt(np.arange(1, leaves + 1)))
    codes = np.concatenate([np.arange(leaves), rng.choice(leaves, max(documents - leaves, 0), p=share / share.sum())])
    digits = np.arange(leaves)[:, None] // 4 ** np.arange(levels - 1, -1, -1) % 4
    paths = [tuple(".".join(map(str, row[: level + 1])) for level in range(levels)) for row in digits]
    moves = {node: rng.normal(size=dim) / (1 + 0.1 * level) for path in paths for level, node in enumerate(path)}
    means = 0.35 * np.array([sum(moves[node] for node in path) for path in paths])
    mixing = np.linalg.qr(rng.normal(size=(dim, dim)))[0] * (4 / np.sqrt(np.arange(1, dim + 1)))
    vectors = (means[codes] + rng.normal(size=(len(codes), dim))) @ mixing
    return LabeledPaths(vectors.astype(np.float32), [paths[code] for code in codes])


def count_different(documents: LabeledPaths, strategy: Strategy) -> tuple[int, int]:
    """Documents whose predictions differ from those of HiClass, and all documents."""
    from sklearn.naive_bayes import GaussianNB

    local = GaussianNB(var_smoothing=1.0)
    vectors = documents.principal_components(COMPONENTS)
    head = CascadeHead(tree=documents.tree, strategy=strategy, local=local, class_weight="none")
    ours = documents.descend(head.fit(vectors, documents.labels), vectors)
    theirs = hiclass_of(strategy, local).fit(vectors, documents.levels).predict(vectors)
    return sum(one != documents.name(path) for one, path in zip(ours, theirs, strict=True)), len(ours)


def equality(articles: LabeledPaths | None, scale: float) -> Topic:
    """Whether predictions are those of HiClass."""
    trees = max(1, round(30 * scale))
    rows: list[Sequence[str]] = [("documents", "strategy", "different", "of")]
    claims: list[Claim] = []
    cases: list[tuple[str, list[LabeledPaths], Sequence[Strategy]]] = [
        (f"{trees} random trees", [random_paths(seed) for seed in range(trees)], ("parent", "level", "node"))
    ]
    if articles is not None:
        cases.append(("wikivitals", [articles], ("parent", "level")))
        cases.append(("300 articles", [articles.first(300)], ("node",)))
    for name, documents, strategies in cases:
        for strategy in strategies:
            different, total = np.sum([count_different(each, strategy) for each in documents], axis=0).tolist()
            rows.append((name, f"per {strategy}", str(different), f"{total:,}"))
            claims.append(at_most(f"{name}, per {strategy}: predictions that differ from HiClass", different, 0))
    return Topic("Predictions of HiClass", rows, claims)


def speed(articles: LabeledPaths | None, scale: float) -> Topic:
    """Seconds per parent node, and the micro hF1 of the greedy descent on one half, fitted on the other."""
    documents, leaves = max(200, round(10_000 * scale)), max(20, round(1000 * scale))
    corpora = {f"{documents:,} documents of {leaves:,} leaves": generated_paths(documents, leaves)}
    if articles is not None:
        corpora["wikivitals"] = articles
    rows: list[Sequence[str]] = [("corpus", "ours", "HiClass", "ratio", "hF1, ours", "hF1, HiClass")]
    claims: list[Claim] = []
    for name, corpus in corpora.items():
        ours, theirs, hf1 = _time_both(corpus)
        ratio = theirs / ours
        rows.append((name, f"{ours:.2f} s", f"{theirs:.2f} s", f"{ratio:.1f}", *(f"{each:.4f}" for each in hf1)))
        claims.append(at_least(f"{name}: seconds of HiClass over ours", ratio, SPEED_BAR))
        claims.append(at_most(f"{name}: difference of micro hF1", abs(hf1[0] - hf1[1]), SAME_HF))
    return Topic("Speed per parent node", rows, claims)


def _time_both(corpus: LabeledPaths) -> tuple[float, float, tuple[float, float]]:
    from sklearn.linear_model import LogisticRegression

    features = Standardizer.fit(corpus.vectors, np.ones(len(corpus.vectors))).transform(corpus.vectors)
    standardized = features.astype(np.float32)
    head = CascadeHead(tree=corpus.tree, C=C, max_iter=MAX_ITER, class_weight="none")
    other = hiclass_of("parent", LogisticRegression(C=C, max_iter=MAX_ITER))
    fits: dict[str, Callable[[], object]] = {
        "ours": lambda: head.fit(standardized, corpus.labels),
        "theirs": lambda: other.fit(standardized, corpus.levels),
    }
    seconds: dict[str, list[float]] = {name: [] for name in fits}
    rng = np.random.default_rng(0)
    for _ in range(ROUNDS):
        for name in rng.permutation(sorted(fits)).tolist():
            start = time.perf_counter()
            fits[name]()
            seconds[name].append(time.perf_counter() - start)
    fitted = np.arange(len(standardized)) % 2 == 0
    head.fit(standardized[fitted], corpus.labels[fitted])
    other.fit(standardized[fitted], corpus.levels[fitted])
    found = [corpus.name(path) for path in other.predict(standardized[~fitted])]
    truth = corpus.labels[~fitted]
    hf1 = (corpus.hf1(truth, corpus.descend(head, standardized[~fitted])), corpus.hf1(truth, found))
    return statistics.median(seconds["ours"]), statistics.median(seconds["theirs"]), hf1


def table_of(title: str, scores: Sequence[Score], claims: Sequence[Claim]) -> Topic:
    """A row per classifier with its metrics and the difference of hF1 to the first."""
    header = ("classifier", "hF1", "hF1 minus the first", "top level", "labels", "macro-F1 of labels", "seconds")
    return Topic(title, [header, *(score.cells for score in scores)], claims)


def wikivitals(file: Path, folder: Path) -> Topic:
    """Cross-fitted hF1 on all articles, and each objective against the heuristics that are made for nothing."""
    scores, objectives = compare_on_wikivitals(file, folder)
    gains = {score.name: score.gains["hF1"] for score in scores[1:]}
    claims = [at_least("wikivitals: hF1 of the default minus flat argmax", -gains["linear, argmax"].value, GAIN_BAR)]
    claims += [
        at_least(f"wikivitals: lower end of hF1 of the default minus {name}", -gains[name].high, 0.0)
        for name in ("cascade of 30c2530", "HiClass per parent")
    ]
    claims += [
        at_least(f"wikivitals, {objective}: cross-fitted, minus the best heuristic", selected - heuristic, 0.0)
        for objective, (selected, heuristic) in objectives.items()
    ]
    return table_of("wikivitals, five folds", scores, claims)


def newsgroups(store: Path, folder: Path) -> Topic:
    """Two levels; the test split is read once."""
    scores = compare_on_newsgroups(store, folder)
    claims = [
        at_least(f"20 Newsgroups: upper end of {metric}, {one.name} minus flat", gain.high, 0.0)
        for one in scores[1:]
        for metric, gain in one.gains.items()
    ]
    return table_of("20 Newsgroups, test", scores, claims)


def reuters(store: Path, folder: Path) -> Topic:
    """A two-stage cascade and a suggested taxonomy, out of fold; there is no bar."""
    return table_of("Reuters-52, out of fold", compare_on_reuters(store, folder), [])


def planted(scale: float) -> Topic:
    """Each strategy on the problem that is made for it, against a flat classifier."""
    rows, claims = [("problem", "metric", "classifier", "flat", "tree")], list[Claim]()
    for problem in planted_problems(scale):
        rows.append((problem.name, problem.metric, problem.classifier, f"{problem.flat:.3f}", f"{problem.tree:.3f}"))
        claims.append(at_least(f"{problem.name}: {problem.classifier} minus flat", problem.tree - problem.flat, 0.0))
    return Topic("Planted problems", rows, claims)


@click.command()
@click.option("--part", "parts", multiple=True, type=click.Choice(PARTS), help="[default: all]")
@click.option("--wikivitals", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--newsgroups", "news", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--reuters", "wires", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--folder", type=click.Path(path_type=Path), help="Of stores and runs, to resume.  [temporary]")
@click.option("--scale", type=click.FloatRange(0, min_open=True), default=1.0, help="Factor of made-up documents.")
@click.option("--json", "as_json", is_flag=True, help="One claim per line.")
def main(
    parts: tuple[str, ...],
    file: Path | None,
    news: Path | None,
    wires: Path | None,
    folder: Path | None,
    scale: float,
    as_json: bool,
) -> None:
    """Print one table per part with its claims, or with --json one object per claim and line."""
    with TemporaryDirectory() as temporary:
        home = folder or Path(temporary)
        articles = read_wikivitals(file, home) if file and {"equality", "speed"} & set(parts or PARTS) else None
        topics: dict[str, Callable[[], Topic] | None] = {
            "equality": lambda: equality(articles, scale),
            "speed": lambda: speed(articles, scale),
            "wikivitals": (lambda: wikivitals(file, home)) if file else None,
            "newsgroups": (lambda: newsgroups(news, home)) if news else None,
            "reuters": (lambda: reuters(wires, home)) if wires else None,
            "planted": lambda: planted(scale),
        }
        for part in parts or PARTS:
            topic = topics[part]
            if topic is not None:
                print_topic(topic(), as_json=as_json)
        if file is None:
            click.echo("Nothing was measured on wikivitals: name its file with --wikivitals.", err=True)


if __name__ == "__main__":
    main()
