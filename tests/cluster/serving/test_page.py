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
from playwright.sync_api import Browser, Error, expect
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp

from browser import SECONDS, Tab, in_a_browser, open_tab
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


class Held(ScriptedEngine):
    """Judges a step once the test lets it; counts the cancelled requests."""

    def __init__(self, script: Callable[..., str] = critique, name: str = "scripted") -> None:
        tokenizer = ScriptedTokenizer()
        super().__init__(script, label_probs=label_probs, tokenizer=tokenizer, name=name)
        self.let: list[str] = []
        self.given_up = 0

    async def generate(self, prompt: Prompt, *args: Any, **more: Any) -> Generation:
        last = prompt.messages[-1]["content"].split("Last step:\n")[1]
        try:
            while not any(last.startswith(step) for step in self.let):
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        return await super().generate(prompt, *args, **more)


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


@pytest.fixture
def engine() -> Held:
    return Held()


@pytest.fixture
def tab(browser: Browser, engine: Held) -> Iterator[Tab]:
    """The page of a service without tokens. Whatever a test does to it, it sends requests to
    no other host, and its only errors are refused requests."""
    with served(routes(engine)) as url, open_tab(browser) as tab:
        tab.page.goto(f"{url}/")
        tab.page.locator("#examples button").first.wait_for()
        expect(tab.page.locator("#votes")).not_to_have_value("")
        yield tab
        tab.page.evaluate("0")  # the answer follows all that happened before
        assert [address for address in tab.requests if not address.startswith(f"{url}/")] == []
        assert [error for error in tab.errors if "responded with a status of 4" not in error] == []


def ask(tab: Tab, solution: str, problem: str = "p", votes: str = "2") -> None:
    for field, text in (("problem", problem), ("solution", solution), ("votes", votes)):
        tab.page.fill(f"#{field}", text)
    tab.page.keyboard.press("Control+Enter")


def badges(tab: Tab) -> list[str]:
    """The first badge of each step."""
    return tab.page.locator(".step .badge:first-of-type").all_text_contents()


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
    attributes: list[tuple[str, str]] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            attributes.extend((name, value or "") for name, value in attrs)

    Tags().feed((WEB / "index.html").read_text())
    linked = {value for name, value in attributes if name in ("src", "href")}
    assert linked == set(PATHS.values()) - {"index.html", "examples.json"}  # relative, all of them
    assert not [name for name, _ in attributes if name.startswith("on") or name == "style"]
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


def test_steps_are_shown_without_being_judged() -> None:
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
    page = tab.page
    page.emulate_media(reduced_motion="reduce")  # colours are there at once
    assert "Critic scripted" in tab.text("#critic") and "pack native" in tab.text("#critic")
    page.click("#examples button:nth-child(2)")
    solution = page.input_value("#solution")
    assert steps.split(solution, "lines") == solution.split("\n") and tab.text("#steps") == ""
    page.fill("#solution", "one\ntwo is wrong\nthree\nfour is wrong")
    page.click("#score")
    expect(page.locator(".step.waiting")).to_have_count(4)
    assert tab.text(".step:nth-child(3) .text") == "three"
    every = page.locator(".step")
    scores = "steps => steps.map(e => e.style.getPropertyValue('--score'))"
    colours = "steps => steps.map(e => getComputedStyle(e).getPropertyValue('border-left-color'))"
    expected = ["", "", "", ""]
    assert every.evaluate_all(scores) == expected
    for place, step, score in ((2, "three", "80%"), (3, "four", "10%"), (0, "one", "80%")):
        engine.let.append(step)
        expected[place] = score
        expect(page.locator(f".step:nth-child({place + 1}):not(.waiting)")).to_be_visible()
        assert every.evaluate_all(scores) == expected
        assert tab.text("#summary") == f"{4 - expected.count('')} of 4 steps settled"
    assert "first error" not in tab.text("#result") and page.is_visible("#cancel")
    engine.let.append("two")
    page.wait_for_selector("#summary a")
    assert badges(tab) == ["✓ correct", "first error", "✓ correct", "✗ incorrect"]
    assert tab.text(".step:nth-child(2) .score") == "0.10"
    assert "votes: 2 incorrect" in tab.text(".step:nth-child(2) .meta")
    summary = tab.text("#summary")
    assert "Solution score 0.10 (min)" in summary and "First error: step 2" in summary
    assert re.search(r"\d tokens written, [\d,]+ read, \d+\.\d\ss$", summary)
    right, wrong, also_right, _ = every.evaluate_all(colours)
    assert right == also_right != wrong
    assert page.is_hidden("#cancel")


@in_a_browser
def test_all_of_it_goes_by_keyboard(tab: Tab, engine: Held) -> None:
    page = tab.page
    engine.let.append("")
    ask(tab, "right\nwrong")
    expect(page.locator(".step.scored")).to_have_count(2)
    expect(page.locator("#cancel")).to_be_hidden()
    details = page.locator(".step:nth-child(2) details")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.step:nth-child(2) summary')"):
            break
    else:
        pytest.fail("the critiques cannot be reached")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid" and details.get_attribute("open") is None
    page.keyboard.press("Enter")
    expect(details).to_have_attribute("open", "")
    critique = details.locator(".critique").first.inner_text()
    assert "✗ incorrect" in critique and "P(correct) 0.10" in critique
    assert "I looked at it." in critique
    expect(page.locator(".critique")).to_have_count(2)
    page.keyboard.press("Enter")
    assert details.get_attribute("open") is None


@in_a_browser
def test_what_the_service_refuses_is_shown_at_its_field(tab: Tab, engine: Held) -> None:
    page = tab.page
    engine.let.append("")
    for field, form in (
        ("solution", {"solution": "  "}),
        ("problem", {"solution": "a", "problem": ""}),
        ("votes", {"solution": "a", "votes": "65"}),
        ("votes", {"solution": "a", "votes": "2.5"}),
        ("votes", {"solution": "a", "votes": "many"}),
    ):
        ask(tab, **form)
        fault = page.locator(f"#{field}-fault")
        expect(fault).not_to_be_empty()
        text = fault.inner_text()
        assert text.removeprefix("⚠ ").startswith(f"{field}: ") and "\n" not in text
        expect(page.locator(".fault:not(:empty)")).to_have_count(1)
        expect(page.locator(f"#{field}")).to_be_focused()
        expect(page.locator(f"#{field}")).to_have_attribute("aria-invalid", "true")
    assert not engine.calls
    ask(tab, "right")
    page.wait_for_selector(".step.scored")
    expect(page.locator("[aria-invalid]")).to_have_count(0)
    engine.alive = False
    ask(tab, "right")
    expect(page.locator("#fault")).to_contain_text("scripted is dead")
    assert badges(tab) == ["not judged"] and tab.text("#summary") == "Broken off."


@in_a_browser
def test_a_step_without_a_score_says_why(tab: Tab, engine: Held) -> None:
    engine.let.append("")
    engine.max_model_len = 300
    ask(tab, "right\n" + "word " * 300)
    tab.page.wait_for_selector(".reason")
    expect(tab.page.locator("#cancel")).to_be_hidden()
    assert badges(tab) == ["✓ correct", "too long for the context"]
    assert "does not fit the context" in tab.text(".step:nth-child(2) .reason")
    assert tab.page.locator(".step:nth-child(2).scored").count() == 0
    assert "Solution score none" in tab.text("#summary")


@in_a_browser
def test_a_running_request_is_cancelled_and_the_engine_spared(tab: Tab, engine: Held) -> None:
    page = tab.page
    engine.let.append("one")
    ask(tab, "one\ntwo\nthree")
    page.wait_for_selector(".step.scored")
    page.click("#cancel")
    expect(page.locator("#cancel")).to_be_hidden()
    assert tab.text("#summary") == "Cancelled."
    assert badges(tab) == ["✓ correct", "not judged", "not judged"]
    end = time.monotonic() + SECONDS
    while engine.given_up < 2:
        assert time.monotonic() < end, "the engine still works for nobody"
        time.sleep(0.02)
    ask(tab, "four\none")
    expect(page.locator(".step.scored")).to_have_count(1)
    ask(tab, "one\none")  # replaces the request that runs
    expect(page.locator("#summary")).to_contain_text("No error")
    assert badges(tab) == ["✓ correct"] * 2 and tab.text("#fault") == ""


@in_a_browser
def test_hostile_text_stays_text(browser: Browser) -> None:
    engine = Held(lambda *_: f"I saw {ATTACK}\nVerdict: correct", name=f"critic {ATTACK}")
    engine.let.append("")
    with served(routes(engine)) as url, open_tab(browser) as tab:
        page = tab.page
        page.goto(f"{url}/")
        expect(page.locator("#votes")).not_to_have_value("")
        ask(tab, f"step {ATTACK}", problem=ATTACK)
        expect(page.locator("#summary")).to_contain_text("No error")
        page.click(".step summary")
        expect(page.locator(".critique p").first).to_have_text(f"I saw {ATTACK}")
        assert tab.text("#critic").startswith(f"Critic critic {ATTACK}")
        assert tab.text(".step .text") == f"step {ATTACK}"
        sources = page.locator("img, script").evaluate_all("elements => elements.map(e => e.src)")
        assert sources == [f"{url}/page.js"]
        assert page.title() == "genprm: score a solution"
        assert tab.errors == []
        with pytest.raises(Error, match="TrustedHTML"):  # the browser sees to it
            page.evaluate("document.body.innerHTML = '<b>x</b>'")


@in_a_browser
def test_under_a_prefix_the_page_asks_for_the_token(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKENS_ENV, TOKEN)
    engine = Held()
    engine.let.append("")
    app: FastAPI = routes(engine, token_hashes())
    mounted = Starlette(routes=[Mount("/second", app)])
    with served(mounted) as url, open_tab(browser) as tab:
        page = tab.page
        dialog = page.locator("#token-dialog")
        page.goto(f"{url}/second")
        expect(dialog).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator("#critic")).to_have_text("The service needs a token.")
        ask(tab, "right", votes="")
        expect(dialog).to_be_visible()
        page.fill("#token", "not-the-token-of-anyone")
        page.keyboard.press("Enter")
        expect(page.locator("#token-fault")).to_contain_text("does not know")
        expect(dialog).to_be_visible()
        assert not engine.calls
        page.fill("#token", f" {TOKEN} ")
        page.keyboard.press("Enter")
        expect(page.locator("#summary")).to_contain_text("No error")
        expect(dialog).to_be_hidden()
        expect(page.locator("#critic")).to_have_text(re.compile("^Critic scripted"))
        expect(page.locator("#votes")).to_have_value("2")
        expect(page.locator("#token")).to_have_value("")
        kept = "localStorage.length + sessionStorage.length + document.cookie.length"
        assert page.evaluate(kept) == 0
        assert TOKEN not in page.content()
        assert all(address.startswith(f"{url}/second") for address in tab.requests)
        assert [error for error in tab.errors if "status of 401" not in error] == []


@in_a_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_screen_needs_no_sideways_scrolling(tab: Tab, engine: Held, scheme: str) -> None:
    page = tab.page
    engine.let.append("")
    page.set_viewport_size({"width": 320, "height": 800})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    ask(tab, "right " + "x" * 400 + "\nwrong", problem="y" * 400, votes="64")
    page.wait_for_selector("#summary a")
    for step in (1, 2):
        page.click(f".step:nth-child({step}) summary")
        expect(page.locator(".critique")).to_have_count(64 * step)
    assert page.evaluate("[innerWidth, document.documentElement.scrollWidth]") == [320, 320]
    rightmost = "elements => Math.max(...elements.map(e => e.getBoundingClientRect().right))"
    assert page.locator("main *").evaluate_all(rightmost) <= 320
