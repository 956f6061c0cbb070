"""The report: complete, self-contained, escaped; tables as text; metrics.json's content."""

import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from browser import in_a_browser, open_tab
from genprm.evaluation.labels_quality import JudgedLabels, label_quality
from genprm.evaluation.metrics import evaluation_metrics
from genprm.evaluation.reliability import Bin, Reliability
from genprm.generation import Usage
from genprm.report.html import environment
from genprm.report.plots import SECONDS, Bar, ReliabilityCurve, Series, line_chart
from genprm.report.report import ReportData, StageCost, render_report, write_plots, write_report
from genprm.report.samples import Sample, pick_samples
from genprm.report.summary import evaluation_report, first_error_row, label_row
from genprm.report.tables import Table, cell_text
from genprm.util.stats import Estimate
from judged import judge, row

VOID = {"meta", "br", "img", "link", "input"}
ATTACK = "</p></svg><script>document.title='owned'</script><img src=x onerror=alert(1)>\"'"


class Page(HTMLParser):
    """Tags, visible text and unbalanced tags of a page."""

    def __init__(self, html: str):
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        self.text += data


def full_report(text: str = "plain") -> ReportData:
    """A report with everything in it, `text` in every place that takes text."""
    figure = Estimate(0.9, 0.8, 0.95, 40)
    reliability = Reliability(0, 3, 0.1, 0.2, (Bin(0.0, 1.0, 3, 0.7, Estimate(0.66, 0.2, 0.9)),))
    series = (Series(text, ((1, Estimate(None)), (8, figure))),)
    sample = Sample(text, text, (text, text), judge("a", "+-?", "", text=text), 1)
    return ReportData(
        title=text,
        subtitle=text,
        headline=((text, figure),),
        tables=(Table(text, ({"critic": text, "F1": figure, "n": 1200, "none": None},), text),),
        f1_bars=(Bar(text, text, figure), Bar(text, "b", Estimate(None))),
        votes_curves=series,
        reliability=(ReliabilityCurve(text, reliability),),
        rollout_curves=series,
        label_quality=({"labels": text, "exact": figure},),
        costs=(StageCost(text, 12.5, 100, 1600, Usage(completion_tokens=4_000)),),
        samples=(sample,),
        provenance={"command": text, "versions": {"python": "3.11", text: "1"}, "commit": None},
        notes=(text,),
    )


def test_the_page_is_complete_and_loads_nothing_else():
    html = render_report(full_report())
    page = Page(html)
    assert page.open == []
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert "default-src 'none'" in html
    outside = [v for n, v in page.attributes if "//" in v and n != "xmlns"]
    assert outside == [] and "@import" not in html and "url(" not in html
    for phrase in ("90.0", "[80.0, 95.0]", "n = 40", "1,200", "Judged solutions", "too long"):
        assert phrase in page.text


def test_untrusted_text_stays_text():
    page = Page(render_report(full_report(ATTACK)))
    assert page.open == []
    assert page.tags == Page(render_report(full_report())).tags
    assert page.text.count(ATTACK) >= 20
    assert not any(name.startswith("on") for name, _ in page.attributes)


@given(st.text())
def test_escaped_text_reads_back_without_tags_or_control_characters(text):
    template = environment().from_string('<p a="{{ text }}">{{ text }}</p>')
    html = template.render(text=text)
    page = Page(html)
    assert page.tags == ["p"]
    assert not re.search(r"[\x00-\x08\x7f-\x9f\u202a-\u202e\u2066-\u2069]", page.text)
    html.encode("utf-8")
    ElementTree.fromstring(html)


def test_lone_surrogates_and_null_characters_can_be_written(tmp_path):
    path = write_report(tmp_path / "new" / "report.html", full_report("\ud800 \x00 \u202e"))
    assert "\ufffd" in path.read_text(encoding="utf-8")
    assert list(path.parent.iterdir()) == [path]  # no partial file is left


def test_plots_are_valid_svg_with_title_and_description(tmp_path):
    paths = write_plots(tmp_path, full_report(ATTACK))
    assert [path.name for path in paths] == [
        "first-error-f1.svg",
        "f1-against-votes.svg",
        "reliability-of-step-scores.svg",
        "rollout-labels-against-the-oracle.svg",
    ]
    for path in paths:
        root = ElementTree.parse(path).getroot()
        space = {"s": "http://www.w3.org/2000/svg"}
        assert root.find("s:title", space).text and root.find("s:desc", space).text
        numbers = re.findall(r' (?:x|y|cx|cy|width|height)="([^"]+)"', path.read_text())
        assert all(-1 <= float(number) <= 2000 for number in numbers)


def test_a_plot_has_the_same_bytes_every_time_and_no_space_taken_by_a_long_name():
    points = ((1, Estimate(0.5)), (8, Estimate(0.9, 0.8, 0.95)))
    short, again, long = (
        line_chart([Series(name, points)], "t", "votes", "F1") for name in ("a", "a", 99 * "long ")
    )
    assert short == again
    marks = re.compile(r"<use [^>]*--card[^>]*>")
    assert marks.findall(short) == marks.findall(long) and len(marks.findall(short)) == 2


def test_sections_without_data_are_left_out():
    page = Page(render_report(ReportData(title="Nothing yet")))
    assert page.open == [] and "section" not in page.tags and "svg" not in page.tags


def test_steps_show_score_status_and_the_true_error():
    judgement = judge("a", "++-", "", "---")
    sample = Sample("t", "p", ("one", "two", "three"), judgement, 2)
    html = render_report(ReportData(title="r", samples=(sample,)))
    text = Page(html).text
    assert "votes: 2 correct, 1 incorrect" in text
    assert "too long for the context" in text
    assert "the true first error" in text and "not judged in full" in text
    assert "--score:63%" in html and html.count("<details>") == 2


def test_samples_show_failures_as_readily_as_successes():
    rows = [
        row("hit", 1, 0),
        row("hit2", 1, 0),
        row("miss", 1, 0),
        row("pass", 1, -1),
        row("alarm", 1, -1),
    ]
    judgements = [
        judge("hit", "-"),
        judge("hit2", "-"),
        judge("miss", "+"),
        judge("pass", "+"),
        judge("alarm", "-"),
    ]
    picked = [sample.judgement.id for sample in pick_samples(rows, judgements, 4)]
    assert picked == ["hit", "miss", "pass", "alarm"]
    assert len(pick_samples(rows, judgements, 10)) == 5
    assert pick_samples([], []) == ()


def test_metrics_json_holds_what_eval_promises():
    rows = [row("a", 2, 1, "x"), row("b", 1, -1, "y")]
    judgements = [judge("a", "++", "--"), judge("b", "++")]
    metrics = evaluation_metrics(rows, judgements, seconds=1.5, provenance={"seed": 7}).json()
    promised = {"n", "f1", "accuracy", "accuracy_error", "accuracy_correct", "coverage",
                "critiques_per_step", "completion_tokens", "seconds", "sources"}  # fmt: skip
    assert promised <= metrics.keys()
    assert {f"{name}_ci" for name in ("f1", "accuracy", "accuracy_error", "accuracy_correct")} <= (
        metrics.keys()
    )
    assert [point["votes"] for point in metrics["votes_curve"]] == [1, 2]
    assert metrics["critics"][0]["model"] == "critic" and metrics["provenance"] == {"seed": 7}
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


def test_evaluation_report_shows_the_metrics_and_says_why_a_curve_is_missing():
    rows = [row("a", 2, 1, "x"), row("b", 1, -1, "y", suspect=True)]
    judgements = [judge("a", "++", "--"), judge("b", "++")]
    metrics = evaluation_metrics(rows, judgements, seconds=None, provenance={"seed": 7})
    text = Page(render_report(evaluation_report("the critic", metrics, rows, judgements))).text
    for phrase in ("the critic", "without suspect rows", "pack native", "F1 against votes"):
        assert phrase in text
    bare = [j.steps[0].model_copy(update={"critiques": None}) for j in judgements[1:]]
    judgements[1] = judgements[1].model_copy(update={"steps": bare})
    metrics = evaluation_metrics(rows, judgements, seconds=None)
    assert metrics.votes_curve is None
    text = Page(render_report(evaluation_report("the critic", metrics, rows, judgements))).text
    assert "return_critiques=true" in text and "F1 against votes" not in text


def test_an_evaluation_of_nothing_still_reports():
    metrics = evaluation_metrics([], [], seconds=0.0)
    assert Page(render_report(evaluation_report("c", metrics, [], []))).open == []


def test_rows_of_the_usual_tables():
    metrics = evaluation_metrics([row("a", 1, 0)], [judge("a", "--")], seconds=1.0)
    table_row = first_error_row("shipped", metrics.first_error.overall, task="arithmetic")
    assert list(table_row)[:4] == ["critic", "task", "n", "F1"]
    texts = [cell_text(cell) for cell in table_row.values()]
    assert any("100.0 [" in text for text in texts) and "n/a" in texts
    quality = label_quality([JudgedLabels((True, False), 1, oracle=1)])
    exact = label_row("rollouts", quality, task="t")["exact"]
    assert cell_text(exact) == "100.0 [20.7, 100.0]"


@in_a_browser
def test_a_browser_shows_the_page_and_runs_nothing(browser, tmp_path):
    path = write_report(tmp_path / "report.html", full_report(f"shown {ATTACK}"))
    with open_tab(browser) as tab:
        tab.page.goto(path.as_uri())
        assert "script" not in Page(tab.page.content()).tags
        assert tab.page.title().startswith("shown ")
        assert tab.requests == [path.as_uri()] and tab.errors == []


def test_a_line_chart_of_seconds_begins_at_0() -> None:
    points = ((1, Estimate(0.21)), (64, Estimate(3.4)))
    chart = line_chart([Series("p50", points)], "t", "x", "y", ticks=(1, 64), unit=SECONDS)
    assert ">0 s<" in chart and ">4 s<" in chart and "64: 3.40 s" in chart and "%" not in chart
