"""The service's page in a real browser, over a scripted critic: no Ray, no model, no network."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp

from browser import CONTROL, PROGRAM, SECONDS, Browser, Tab, chromium
from cluster.serving.page import PATHS
from cluster.serving.tokens import TOKENS_ENV, token_hashes
from genprm import steps, tasks
from genprm.engines.scripted import ScriptedEngine, ScriptedTokenizer
from genprm.generation import Generation, Prompt
from places import ROOT
from scripted_critic import critique, label_probs
from scripted_routes import call, routes

WEB = ROOT / "cluster" / "serving" / "web"
ATTACK = (
    "</script><script>document.title='owned'</script><img src=x onerror=document.title='owned'>"
)
TOKEN = "a-token-of-some-length"

in_a_browser = pytest.mark.skipif(PROGRAM is None, reason="no Chromium on this machine")


class Held(ScriptedEngine):
    """Judges a step once the test lets it; knows how many requests were given up."""

    def __init__(self, script: Callable[..., str] = critique, name: str = "scripted") -> None:
        tokenizer = ScriptedTokenizer()
        super().__init__(script, label_probs=label_probs, tokenizer=tokenizer, name=name)
        self.let: list[str] = []
        self.given_up = 0

    async def generate(self, prompt: Prompt, *given: Any, **more: Any) -> Generation:
        last = prompt.messages[-1]["content"].split("Last step:\n")[1]
        try:
            while not any(last.startswith(step) for step in self.let):
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        return await super().generate(prompt, *given, **more)


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """The address of the application, at a free port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        web = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=0))
        thread = threading.Thread(target=web.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            web.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture
def engine() -> Held:
    return Held()


@pytest.fixture
def tab(browser: Browser, engine: Held) -> Iterator[Tab]:
    """The page of a service without tokens. Whatever a test does to it, it asks nobody else, and
    nothing goes wrong in it beside requests that are refused."""
    with served(routes(engine)) as url, browser.tab() as page:
        page.go(f"{url}/")
        page.wait_for("$('#votes').value && $('#examples button')")
        yield page
        assert [address for address in page.requested() if not address.startswith(f"{url}/")] == []
        assert [
            error for error in page.errors() if "responded with a status of 4" not in error
        ] == []


def ask(tab: Tab, solution: str, problem: str = "p", votes: str = "2") -> None:
    for field, text in (("problem", problem), ("solution", solution), ("votes", votes)):
        tab.fill(f"#{field}", text)
    tab.press("Enter", CONTROL)


def marks(tab: Tab) -> list[str]:
    """The first badge of each step."""
    return tab.evaluate("$$('.step').map(e => e.querySelector('.badge').textContent)")


def test_the_page_and_its_files_need_no_token_and_nothing_else_is_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(TOKENS_ENV, TOKEN)
    app = routes(tokens=token_hashes())
    for path, name in PATHS.items():
        answer = call(app, "GET", path)
        assert answer.status_code == 200
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "//" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        kind = {"html": "text/html", "css": "text/css", "js": "text/javascript"}.get(
            name.rpartition(".")[2]
        )
        assert kind is None or answer.headers["content-type"] == f"{kind}; charset=utf-8"
        assert call(app, "HEAD", path).status_code == 200
        assert call(app, "GET", f"/second{path}", root="/second").text == answer.text
        assert call(app, "GET", f"/v1{path}").status_code == 401
        assert call(app, "POST", path, b"{}").status_code == 405
    bare = call(app, "GET", "/second", root="/second")
    assert (bare.status_code, bare.headers["location"]) == (307, "http://service/second/")
    for path in ("/v1/steps", "/v1/score", "/index.html", "/page.py", "/page.js/", "/page.js/x"):
        assert call(app, "POST" if "v1" in path else "GET", path, b"{}").status_code == 401


def test_the_files_are_there_and_refer_to_nothing_outside() -> None:
    assert {f.name for f in WEB.iterdir()} == set(PATHS.values()) - {"report.css"}
    found: list[tuple[str, str]] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.extend((name, value or "") for name, value in attrs)

    Tags().feed((WEB / "index.html").read_text())
    linked = {value for name, value in found if name in ("src", "href")}
    assert linked == set(PATHS.values()) - {"index.html", "examples.json"}  # relative, all of them
    assert not [name for name, _ in found if name.startswith("on") or name == "style"]
    offered = re.findall(r'<option value="(\w+)">', (WEB / "index.html").read_text())
    assert offered == list(steps.SPLITTERS)


def test_the_examples_are_what_they_say() -> None:
    errors = {}
    for example in json.loads((WEB / "examples.json").read_text()):
        task = tasks.get(example["name"].split(",")[0].lower())
        errors[example["name"]] = task.first_error(example["problem"], example["steps"])
        assert steps.split("\n".join(example["steps"]), "lines") == example["steps"]
    assert errors == {
        "Arithmetic, right": -1, "Arithmetic, with a slip": 2, "Tracking, with a slip": 3
    }  # fmt: skip


def test_steps_are_told_without_being_judged() -> None:
    engine = Held()
    app = routes(engine)
    body = {"problem": "p", "solution": " one\n\ntwo. three", "splitter": "lines", "votes": 64}
    answer = call(app, "POST", "/v1/steps", body)
    assert answer.json() == {"steps": ["one", "two. three"]} and not engine.calls
    for wrong, field in (({"solution": " "}, "solution"), ({"votes": 65}, "votes")):
        refused = call(app, "POST", "/v1/steps", {**body, **wrong})
        assert (refused.status_code, refused.json()["field"]) == (422, field)


@in_a_browser
def test_an_example_is_scored_and_its_steps_colour_as_they_settle(tab: Tab, engine: Held) -> None:
    tab.prefer(reduced_motion="reduce")  # colours are there at once
    assert "Critic scripted" in tab.text("#critic") and "pack native" in tab.text("#critic")
    tab.click("#examples button:nth-child(2)")
    solution = tab.evaluate("$('#solution').value")
    assert steps.split(solution, "lines") == solution.split("\n") and tab.text("#steps") == ""
    tab.fill("#solution", "one\ntwo is wrong\nthree\nfour is wrong")
    tab.click("#score")
    tab.wait_for("$$('.step.waiting').length == 4")
    assert tab.text(".step:nth-child(3) .text") == "three"
    scores = "$$('.step').map(e => e.style.getPropertyValue('--score'))"
    colours = "$$('.step').map(e => getComputedStyle(e).getPropertyValue('border-left-color'))"
    expected = ["", "", "", ""]
    assert tab.evaluate(scores) == expected
    for place, step, score in ((2, "three", "80%"), (3, "four", "10%"), (0, "one", "80%")):
        engine.let.append(step)
        expected[place] = score
        tab.wait_for(f"!$('.step:nth-child({place + 1})').matches('.waiting')")
        assert tab.evaluate(scores) == expected
        assert tab.text("#summary") == f"{4 - expected.count('')} of 4 steps settled"
    assert "first error" not in tab.text("#result") and not tab.evaluate("$('#cancel').hidden")
    engine.let.append("two")
    tab.wait_for("$('#summary a')")
    assert marks(tab) == ["✓ correct", "first error", "✓ correct", "✗ incorrect"]
    assert tab.text(".step:nth-child(2) .score") == "0.10"
    assert "votes: 2 incorrect" in tab.text(".step:nth-child(2) .meta")
    summary = tab.text("#summary")
    assert "Solution score 0.10 (min)" in summary and "First error: step 2" in summary
    assert re.search(r"\d tokens written, [\d,]+ read, \d+\.\d\ss$", summary)
    good, bad, again, _ = tab.evaluate(colours)
    assert good == again != bad
    assert tab.evaluate("$('#cancel').hidden")


@in_a_browser
def test_all_of_it_goes_by_keyboard(tab: Tab, engine: Held) -> None:
    engine.let.append("")
    ask(tab, "right\nwrong")
    tab.wait_for("$$('.step.scored').length == 2")
    tab.wait_for("$('#cancel').hidden")
    opened = "$('.step:nth-child(2) details').open"
    for _ in range(20):
        tab.press("Tab")
        if tab.evaluate("document.activeElement.matches('.step:nth-child(2) summary')"):
            break
    else:
        pytest.fail("the critiques cannot be reached")
    outline = tab.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid" and not tab.evaluate(opened)
    tab.press("Enter")
    assert tab.evaluate(opened)
    told = tab.wait_for("$('.step:nth-child(2) .critique')?.innerText")
    assert "✗ incorrect" in told and "P(correct) 0.10" in told and "I looked at it." in told
    assert tab.evaluate("$$('.critique').length") == 2
    tab.press("Enter")
    assert not tab.evaluate(opened)


@in_a_browser
def test_what_the_service_refuses_stands_at_its_field(tab: Tab, engine: Held) -> None:
    engine.let.append("")
    for field, given in (
        ("solution", {"solution": "  "}),
        ("problem", {"solution": "a", "problem": ""}),
        ("votes", {"solution": "a", "votes": "65"}),
        ("votes", {"solution": "a", "votes": "2.5"}),
        ("votes", {"solution": "a", "votes": "many"}),
    ):
        ask(tab, **given)
        told = tab.wait_for(f"$('#{field}-fault').innerText")
        assert told.removeprefix("⚠ ").startswith(f"{field}: ") and "\n" not in told
        assert tab.evaluate("$$('.fault').filter(e => e.textContent).length") == 1
        assert tab.evaluate("document.activeElement.id") == field
        assert tab.evaluate("document.activeElement.getAttribute('aria-invalid')") == "true"
    assert not engine.calls
    ask(tab, "right")
    tab.wait_for("$('.step.scored')")
    assert tab.evaluate("$('[aria-invalid]')") is None
    engine.alive = False
    ask(tab, "right")
    assert "scripted is dead" in tab.wait_for("$('#fault').textContent")
    assert marks(tab) == ["not judged"] and tab.text("#summary") == "Broken off."


@in_a_browser
def test_a_step_without_a_score_says_why(tab: Tab, engine: Held) -> None:
    engine.let.append("")
    engine.max_model_len = 300
    ask(tab, "right\n" + "word " * 300)
    tab.wait_for("$('#cancel').hidden && $('.reason')")
    assert marks(tab) == ["✓ correct", "too long for the context"]
    assert "does not fit the context" in tab.text(".step:nth-child(2) .reason")
    assert not tab.evaluate("$('.step:nth-child(2)').matches('.scored')")
    assert "Solution score none" in tab.text("#summary")


@in_a_browser
def test_a_running_request_is_cancelled_and_the_engine_spared(tab: Tab, engine: Held) -> None:
    engine.let.append("one")
    ask(tab, "one\ntwo\nthree")
    tab.wait_for("$('.step.scored')")
    tab.click("#cancel")
    tab.wait_for("$('#cancel').hidden")
    assert tab.text("#summary") == "Cancelled."
    assert marks(tab) == ["✓ correct", "not judged", "not judged"]
    end = time.monotonic() + SECONDS
    while engine.given_up < 2:
        assert time.monotonic() < end, "the engine still works for nobody"
        time.sleep(0.02)
    ask(tab, "four\none")
    tab.wait_for("$$('.step.scored').length == 1")
    ask(tab, "one\none")  # in place of the one that runs
    tab.wait_for("$('#summary').innerText.includes('No error')")
    assert marks(tab) == ["✓ correct"] * 2 and tab.text("#fault") == ""


@in_a_browser
def test_hostile_text_stays_text(browser: Browser) -> None:
    engine = Held(lambda *_: f"I saw {ATTACK}\nVerdict: correct", name=f"critic {ATTACK}")
    engine.let.append("")
    with served(routes(engine)) as url, browser.tab() as tab:
        tab.go(f"{url}/")
        tab.wait_for("$('#votes').value")
        ask(tab, f"step {ATTACK}", problem=ATTACK)
        tab.wait_for("$('#summary').innerText.includes('No error')")
        tab.click(".step summary")
        assert tab.wait_for("$('.critique p')?.textContent") == f"I saw {ATTACK}"
        assert tab.text("#critic").startswith(f"Critic critic {ATTACK}")
        assert tab.text(".step .text") == f"step {ATTACK}"
        assert tab.evaluate("$$('img, script').map(e => e.src)") == [f"{url}/page.js"]
        assert tab.evaluate("document.title") == "genprm: score a solution"
        assert tab.errors() == []
        assign = "document.body.innerHTML = '<b>x</b>'"
        refused = tab.call("Runtime.evaluate", expression=assign)
        assert "TrustedHTML" in json.dumps(refused["exceptionDetails"])  # the browser sees to it


@in_a_browser
def test_behind_a_prefix_the_page_asks_for_the_token(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKENS_ENV, TOKEN)
    engine = Held()
    engine.let.append("")
    app: FastAPI = routes(engine, token_hashes())
    mounted = Starlette(routes=[Mount("/second", app)])
    opened = "$('#token-dialog').open"
    with served(mounted) as url, browser.tab() as tab:
        tab.go(f"{url}/second")
        tab.wait_for(opened)
        tab.press("Escape")
        tab.wait_for("$('#critic').innerText == 'The service needs a token.'")
        ask(tab, "right", votes="")
        tab.wait_for(opened)
        tab.fill("#token", "not-the-token-of-anyone")
        tab.press("Enter")
        tab.wait_for("$('#token-fault').innerText.includes('does not know')")
        assert tab.evaluate(opened) and not engine.calls
        tab.fill("#token", f" {TOKEN} ")
        tab.press("Enter")
        tab.wait_for("$('#summary').innerText.includes('No error')")
        assert not tab.evaluate(opened)
        tab.wait_for("$('#critic').innerText.startsWith('Critic scripted')")
        assert tab.evaluate("$('#votes').value") == "2"
        kept = "localStorage.length + sessionStorage.length + document.cookie.length"
        assert tab.evaluate(kept) == 0 and tab.evaluate("$('#token').value") == ""
        assert TOKEN not in tab.evaluate("document.documentElement.outerHTML")
        assert all(address.startswith(f"{url}/second") for address in tab.requested())
        assert [error for error in tab.errors() if "status of 401" not in error] == []


@in_a_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_screen_needs_no_sideways_scrolling(tab: Tab, engine: Held, scheme: str) -> None:
    engine.let.append("")
    tab.resize(320)
    tab.prefer(color_scheme=scheme)
    ask(tab, "right " + "x" * 400 + "\nwrong", problem="y" * 400, votes="64")
    tab.wait_for("$('#summary a')")
    for step in (1, 2):
        tab.click(f".step:nth-child({step}) summary")
        tab.wait_for(f"$$('.critique').length == {64 * step}")
    assert tab.evaluate("[innerWidth, document.documentElement.scrollWidth]") == [320, 320]
    right = "Math.max(...$$('main *').map(e => e.getBoundingClientRect().right))"
    assert tab.evaluate(right) <= 320
