"""The first screen of a page in a real browser: what is on it, and what it answers to limits."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest

from analysis.fronts.decision import decide, draw_fronts
from analysis.fronts.device_front import transfer_to_device
from analysis.fronts.front import Front, front_of
from analysis.fronts.membership import estimate_membership
from analysis.objectives.problem import STANDARD, problem_of
from analysis.records.files import write_whole
from analysis.report.study_page import report_page
from tests.analysis.fronts.test_device_front import write_table
from tests.support.browser import logged, show
from tests.support.needs import rest_is_more
from tests.support.planted_front import planted
from tests.support.sample_study import sample_finals, sample_records, sample_summary

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

RECORDS = sample_records()
DEVICES = {"phone": 1.0, "board": 6.0}
"""Devices by how much slower than the planted one their products and memory are."""
CHOOSE = """
const select = document.querySelector('.limits select');
select.value = arguments[0]; select.dispatchEvent(new Event('input', {bubbles: true}));
const places = [...document.querySelectorAll('.front > [data-device]')].filter((each) => each.checkVisibility());
const say = (what) => document.querySelector(`.pick [data-say="${what}"]`).textContent;
return { shown: places.map((each) => each.dataset.device), title: say('title'), interval: say('interval'),
         drawn: places[0].querySelectorAll('.plot .main-svg').length };
"""
PROBLEMS = {
    "two": STANDARD,
    "three": problem_of(["bits_per_byte", "total_ms", "kv_cache_bytes"]),
    "higher is better": problem_of(["next_token_accuracy", "prefill_ms"]),
    "a closed form first": problem_of(["kv_cache_bytes", "bits_per_byte"]),
}
SCREENS = {"1280 x 900": (1280, 900), "a phone": (390, 844)}
MOST_WORDS = 60
PROSE = """
const shown = (e) => e.checkVisibility() && e.getBoundingClientRect().top < innerHeight;
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), texts = [];
while (walker.nextNode()) {
  const parent = walker.currentNode.parentElement;
  const apart = parent.closest('svg, code, pre, nav, summary, script, style, template, .plot');
  if (!apart && shown(parent)) texts.push(walker.currentNode.textContent);
}
return texts.join(' ');
"""
BOXES = """
return arguments[0].map(selector => { const b = document.querySelector(selector).getBoundingClientRect();
                                      return [b.left, b.top, b.right, b.bottom]; });
"""


def page(tmp_path: Path, records: Sequence[Any] = RECORDS, **changes: Any) -> Path:
    return write_whole(tmp_path / "report.html", report_page(sample_summary(), records, sample_finals(records), **changes).encode())


@pytest.mark.slow
@pytest.mark.needs
@pytest.mark.parametrize("problem", rest_is_more(["two", "three"], "two"))
@pytest.mark.parametrize("screen", SCREENS)
def test_the_first_screen_has_the_recommendation_its_doubt_its_command_and_the_front(
    browser: Chrome, tmp_path: Path, screen: str, problem: str
) -> None:
    width, height = SCREENS[screen]
    show(browser, page(tmp_path, problem=PROBLEMS[problem]), width=width, height=height)
    parts = ['.pick [data-say="title"]', '.pick [data-say="on_front"]', '.pick [data-say="command"]', ".front .plot .main-svg"]
    for part, (left, top, right, bottom) in zip(parts, browser.execute_script(BOXES, parts), strict=True):
        assert (left >= 0, top >= 0, right <= width, bottom <= height) == (True,) * 4, part
        assert right - left > 10
        assert bottom - top > 10
    prose = [word for word in browser.execute_script(PROSE).split() if re.search(r"[^\W\d]", word)]
    assert len(prose) <= MOST_WORDS, prose
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


@pytest.mark.slow
@pytest.mark.needs
@pytest.mark.parametrize("name", rest_is_more(PROBLEMS, "higher is better"))
def test_limits_are_answered_as_python_does(browser: Chrome, tmp_path: Path, name: str) -> None:
    problem = PROBLEMS[name]
    front = front_of(RECORDS, sample_finals(RECORDS), problem)
    membership, draws = estimate_membership(front), draw_fronts(front)
    show(browser, page(tmp_path, problem=problem))
    picks = set()
    for limits in random_limits(front, 50):
        found = browser.execute_script("return archfront.decide(arguments[0])", limits)
        wanted = decide(front, membership, draws, limits)
        assert (found["pick"], found["ties"]) == (wanted.pick, [*wanted.ties]), limits
        assert found["best"] == pytest.approx(wanted.best, abs=0.01)
        assert found["on_front"] == pytest.approx(wanted.on_front, abs=0.01)
        picks.add(wanted.pick)
    assert len(picks) > 3, "limits move the pick"


@pytest.mark.slow
@pytest.mark.needs
def test_another_device_is_chosen_in_the_page_and_answered_as_python_does(browser: Chrome, tmp_path: Path) -> None:
    problem, finals = PROBLEMS["two"], sample_finals(RECORDS)
    tables = [write_table(tmp_path / f"{name}.jsonl", device="<a> board", slower=slower) for name, slower in DEVICES.items()]
    devices = [transfer_to_device(RECORDS, table, finals, problem) for table in tables]
    show(browser, page(tmp_path, devices=devices))
    answers = set()
    for place, device in enumerate(devices, start=1):
        draws = draw_fronts(device.front, device.deviations)
        for limits in random_limits(device.front, 50):
            found = browser.execute_script("return archfront.decide(arguments[0], arguments[1])", limits, f"device-{place}")
            wanted = decide(device.front, device.membership, draws, limits)
            assert (found["pick"], found["ties"]) == (wanted.pick, [*wanted.ties]), limits
            assert found["best"] == pytest.approx(wanted.best, abs=0.01)
            assert found["on_front"] == pytest.approx(wanted.on_front, abs=0.01)
            answers.add(wanted.pick)
    assert len(answers) > 3
    for place, device in enumerate(devices, start=1):
        seen = browser.execute_script(CHOOSE, f"device-{place}")
        pick = device.membership.recommended
        assert pick is not None
        assert seen["shown"] == [f"device-{place}"]
        assert seen["drawn"] > 0
        assert seen["title"].startswith(f"#{pick} ")
        low, high = device.predictions[pick].total.between()
        assert f"{STANDARD.objectives[1].between_text(low, high)} predicted latency" in seen["interval"]
    seen = browser.execute_script(CHOOSE, "")
    assert seen["shown"] == [""]
    assert "predicted" not in seen["interval"]
    assert not [said for said in logged(browser, "browser") if said["level"] == "SEVERE"]


def test_a_device_says_what_limits_take_and_is_no_choice_where_they_take_all(tmp_path: Path) -> None:
    table = write_table(tmp_path / "phone.jsonl")
    times = [prediction.total.ms for prediction in transfer_to_device(RECORDS, table).predictions.values()]
    few, none = (
        transfer_to_device(RECORDS, table, problem=problem_of(STANDARD.names, {"total_ms": limit}))
        for limit in (median(times), min(times) / 2)
    )
    text = page(tmp_path, devices=[few, none]).read_text()
    assert len(re.findall("shapes that were trained are over a limit here, and so not on the front", text)) == 1
    assert re.findall(r'<option value="([^"]*)"[^>]*?(disabled)?(?:="disabled")?>', text) == [
        ("", ""),
        ("device-1", ""),
        ("device-2", "disabled"),
    ]
    assert "phone: no shape keeps to the limits" in text
    assert 'data-device="device-2"' not in text


def random_limits(front: Front, count: int) -> list[dict[str, float]]:
    """None, then limits of any of the objectives, within what the shapes have, one in four exactly what one has."""
    dice, found = random.Random(0), [dict[str, float]()]
    for _ in range(count - 1):
        limits = {}
        for place, objective in enumerate(front.objectives):
            if dice.random() < 0.6:
                values = [point.values[place] for point in front.points.values()]
                exact = front.points[dice.choice(front.members)].values[place]
                limits[objective.name] = exact if dice.random() < 0.25 else dice.uniform(min(values), max(values))
        found.append(limits)
    return found


@pytest.mark.parametrize("name", PROBLEMS)
def test_without_limits_the_decision_is_the_recommendation_with_its_probabilities(name: str) -> None:
    front = front_of(RECORDS, sample_finals(RECORDS), PROBLEMS[name])
    membership = estimate_membership(front)
    found = decide(front, membership, draw_fronts(front))
    assert found.pick is not None
    posterior = membership.posteriors[found.pick]
    assert (found.pick, found.on_front) == (membership.recommended, posterior.on_front)
    assert found.best == pytest.approx(posterior.best, abs=0.02), "equal closed forms are all best here"


def test_limits_are_kept_to_and_the_probability_falls_with_them() -> None:
    front = front_of(RECORDS, sample_finals(RECORDS))
    membership, draws = estimate_membership(front), draw_fronts(front)
    for limits in random_limits(front, 50):
        found = decide(front, membership, draws, limits)
        within = [n for n in front.members if not any(o.passes(v, limits[o.name]) for o, v in named(front, n, limits))]
        assert (found.pick in within) if within else found == decide(front, membership, draws, {"total_ms": 1e-6})
        assert 0 <= found.best <= found.on_front <= 1
    own = front.points[front.members[2]].values[1]
    chances = [decide(front, membership, draws, {"total_ms": own * factor}).on_front for factor in (1.0, 1.02, 1.5)]
    assert chances[0] < chances[1], "at a limit that equals its latency it may as well be beyond"


def named(front: Front, number: int, limits: Mapping[str, float]) -> list[Any]:
    return [(o, v) for o, v in zip(front.objectives, front.points[number].values, strict=True) if o.name in limits]


def test_draws_are_bounded_and_deterministic() -> None:
    front = front_of(planted(1000, noise=0.005, spread=0.02))
    draws = draw_fronts(front)
    assert len(draws.which) <= 50_000
    assert draws.counts.sum() == len(draws.which)
    assert (draw_fronts(front).which == draws.which).all()


@pytest.mark.slow
@pytest.mark.needs
def test_what_is_typed_is_read_as_people_write_it(browser: Chrome, tmp_path: Path) -> None:
    show(browser, page(tmp_path, problem=PROBLEMS["three"]))
    typed = """
const [name, text] = arguments, input = document.querySelector(`.limits input[name=${name}]`);
input.value = text; input.dispatchEvent(new Event('input', {bubbles: true}));
const say = (what) => document.querySelector(`.pick [data-say="${what}"]`).textContent;
return [say('what'), say('title'), say('command'), input.getAttribute('aria-invalid')];
"""
    first = browser.execute_script(typed, "total_ms", "")
    assert first[0].startswith("Recommended")
    texts = {"8.2": "false", "8.2 ms": "false", "8,2x": "true", "fast": "true"}
    assert {text: browser.execute_script(typed, "total_ms", text)[3] for text in texts} == texts
    limited = browser.execute_script(typed, "total_ms", "12 ms")
    assert limited[0] == "Recommended within these limits"
    assert limited[1] != first[1]
    assert f"--trial {limited[1].split()[0].removeprefix('#')} " in limited[2]
    shapes = "return document.querySelector('.front .plot').layout.shapes.map(shape => shape.type)"
    assert "line" in browser.execute_script(shapes)
    assert browser.execute_script(typed, "total_ms", "0.001")[0] == "No shape on the front keeps to these limits"
    browser.execute_script(typed, "total_ms", "")
    assert [browser.execute_script(typed, "kv_cache_bytes", text)[1] for text in ("40k", "40 kB")] == [
        browser.execute_script(typed, "kv_cache_bytes", "40000")[1]
    ] * 2


LIMITS: dict[str, dict[str, float | None]] = {
    "total_ms": {
        "1.5 s": 1500, "1.5s": 1500, "0.2 min": 12_000, "250 µs": 0.25, "250 μs": 0.25, "250us": 0.25, "900 ns": 9e-4, " 12 ms ": 12,
        "1,500": 1500, "1,500.5 ms": 1500.5, "1,234,567": 1_234_567, "1.5e3": 1500, "8.": 8, ".5": 0.5, "2,05": None, "1,2345": None,
        "12,000,00": None, "1.500,5": None, "12 kB": None, "12 %": None, "12 m": None, "12 constructor": None, "12 parsecs": None,
    },
    "kv_cache_bytes": {
        "40 kB": 4e4, "40k": 4e4, "40KB": 4e4, "1.5 MB": 1.5e6, "40,000 B": 4e4, "2 million": 2e6,
        "40 ms": None, "40 KiB": None, "40 kBx": None,
    },
    "bits_per_byte": {"2.05": 2.05, "2,05": None, "2.05 s": None, "205%": 2.05},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.needs
def test_a_limit_is_in_the_objectives_unit_or_marked_as_not_understood(browser: Chrome, tmp_path: Path) -> None:
    show(browser, page(tmp_path, problem=PROBLEMS["three"]))
    typed = """
const [name, text] = arguments, input = document.querySelector(`.limits input[name=${name}]`);
input.value = text; input.dispatchEvent(new Event('input', {bubbles: true}));
return [archfront.limits()[name] ?? null, input.getAttribute('aria-invalid')];
"""
    for name, texts in LIMITS.items():
        for text, wanted in texts.items():
            found, invalid = browser.execute_script(typed, name, text)
            assert found == (wanted if wanted is None else pytest.approx(wanted)), text
            assert invalid == str(wanted is None).lower(), text


def test_the_data_of_a_page_may_stand_in_a_script() -> None:
    evil = "</script><script>alert(1)</script>"
    text = report_page(sample_summary(directory=evil), RECORDS, sample_finals(RECORDS))
    data = re.search(r'id="decision">(.*?)</script>', text, re.DOTALL)
    assert data is not None
    assert evil in re.sub(r"<[^>]*>", "", json.loads(data[1])["members"][0]["command"]).replace("&lt;", "<").replace("&gt;", ">").replace(
        "'", ""
    )
