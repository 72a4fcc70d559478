"""The picture of a sweep: what it shows, and that it is whole as SVG and in a page."""

from xml.etree import ElementTree

from stages.sweep import SweepResult, SweepTrial
from stages.sweep.chart import SearchPicture, search_page, search_picture

SVG = "{http://www.w3.org/2000/svg}"
SCORES = [0.71, 0.65, None, 0.78, 0.74]


def made_up(scores: list[float | None] = SCORES, importance: dict[str, float] | None = None) -> SweepResult:
    trials = [
        SweepTrial(at, {"C": 0.1 * at, "kind": "<b>"}, score, 1.5, "host-1") for at, score in enumerate(scores, 1)
    ]
    weighed = {"C": 0.75, "kind": 0.25} if importance is None else importance
    return SweepResult(
        "linear",
        "store",
        "a & <b>",
        "macro_f1",
        "s.db",
        tuple(trials),
        {"C": 0.1, "kind": "<b>"},
        weighed,
        ("A remark.",),
    )


def test_higher_is_further_up_and_the_line_is_the_best_so_far() -> None:
    picture = SearchPicture.of(made_up())
    first, second, lost, best, last = picture.dots
    assert best.y < last.y < first.y < second.y < lost.y == picture.height
    assert [dot.x for dot in picture.dots] == sorted(dot.x for dot in picture.dots)
    assert picture.path == f"M{first.x:g} {first.y:g}H{best.x:g}V{best.y:g}H{picture.width}"
    assert [share for _, share, _ in picture.bars] == [0.75, 0.25] and picture.bars[0][2] == 3 * picture.bars[1][2]


def test_the_picture_is_an_svg_file_with_a_mark_a_trial() -> None:
    drawn = ElementTree.fromstring(search_picture(made_up()))
    circles = list(drawn.iter(f"{SVG}circle"))
    assert len(circles) == 5 and [each.get("fill") for each in circles].count("none") == 1
    assert len(list(drawn.iter(f"{SVG}rect"))) == 2 and "trial 4: 0.780; C 0.4, kind <b>" in "".join(drawn.itertext())


def test_one_trial_without_importance_is_drawn() -> None:
    drawn = ElementTree.fromstring(search_picture(made_up([0.5], {})))
    assert len(list(drawn.iter(f"{SVG}circle"))) == 1 and not list(drawn.iter(f"{SVG}rect"))


def test_the_page_has_every_trial_and_loads_nothing() -> None:
    page = search_page(made_up())
    assert page.count('<th scope="row"') == 5 and "4 (best)" in page and "given up" in page and "A remark." in page
    assert "a &amp; &lt;b&gt;" in page and "http" not in page.replace("http-equiv", "").replace(SVG[1:-1], "")
