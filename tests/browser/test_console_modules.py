"""The console's pure modules and its colours, in the browser that will run them; no Recoup behind them."""

import re
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Page
from typing_extensions import override

import recoup.console

pytestmark = pytest.mark.browser
FOLDER = Path(recoup.console.__file__).parent
LONGEST = 400

TONES = ["open", "abandoned", "contacted", "held-out", "recovered", "converted", "bad", "accent"]
TEXT_PAIRS = [
    *(
        (text, ground)
        for text in ["ink", "soft"]
        for ground in ["ground", "surface", "sunken", "well", "tint", "raised"]
    ),
    *((tone, ground) for tone in TONES for ground in ["surface", "ground"]),
    *((tone, f"color-mix(in srgb, var(--{tone}) 10%, var(--surface))") for tone in TONES),
    ("on-accent", "accent"),
    ("accent", "tint"),
    ("ground", "ink"),
]
SHAPE_PAIRS = [("edge", "surface"), ("edge", "ground"), ("accent", "surface"), ("accent", "ground")]


class Quiet(SimpleHTTPRequestHandler):
    @override
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(FOLDER.parent)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


@pytest.fixture
def modules(page: Page, address: str) -> Page:
    """A page from which modules can be imported; it needs no session, so it shows the login."""
    page.goto(f"{address}/console/index.html")
    return page


def call(page: Page, module: str, name: str, *arguments: object) -> object:
    script = "async ([module, name, given]) => (await import(`/console/${module}.js`))[name](...given)"
    return page.evaluate(script, [module, name, list(arguments)])


def overview(amount: int | None, low: int | None, high: int | None, sample_ratio_p: float = 0.5) -> dict[str, object]:
    estimate = {
        "amount": amount,
        "low": low,
        "high": high,
        "currency": "USD",
        "contacted_people": 40,
        "held_out_people": 5,
        "per_contacted_person": 12.0,
        "per_held_out_person": 10.0,
        "sample_ratio_p": sample_ratio_p,
    }
    return {"incremental_revenue": estimate}


def test_money_has_the_digits_of_its_currency(modules: Page):
    written = [call(modules, "format", "money", 123456, currency) for currency in ("USD", "JPY", "KWD")]
    assert [str(text).replace("\xa0", " ") for text in written] == ["$1,234.56", "¥123,456", "KWD 123.456"]


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0.4, "0.4 ms"),
        (250, "250 ms"),
        (45_000, "45 s"),
        (720_000, "12 min"),
        (10_800_000, "3 h"),
        (172_800_000, "2 d"),
    ],
)
def test_durations_have_one_fitting_unit(modules: Page, milliseconds: float, text: str):
    assert call(modules, "format", "duration", milliseconds) == text


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [(100, 900, "chance alone hardly explains it"), (-900, -100, "stop and look"), (-100, 900, "still be chance")],
)
def test_the_headline_says_what_its_interval_is_worth(modules: Page, low: int, high: int, says: str):
    estimate = call(modules, "readings", "incremental", overview(amount=(low + high) // 2, low=low, high=high))
    assert says in str(call(modules, "readings", "meaning", estimate))


def test_groups_of_unlikely_sizes_take_the_trust_from_the_headline(modules: Page):
    estimate = call(modules, "readings", "incremental", overview(amount=500, low=100, high=900, sample_ratio_p=0.0001))
    assert "Not to be trusted" in str(call(modules, "readings", "meaning", estimate))


def test_nothing_is_claimed_before_there_is_a_comparison(modules: Page):
    estimate = call(modules, "readings", "incremental", overview(amount=None, low=None, high=None))
    assert isinstance(estimate, dict)
    assert estimate["known"] is False


def test_days_without_orders_stand_in_the_chart_as_nothing(modules: Page):
    days = [{"day": "2026-03-01", "orders": 2, "amount": 500}, {"day": "2026-03-03", "orders": 1, "amount": 300}]
    shown = call(modules, "readings", "byDay", {"days": days, "total": {"amount": 800, "currency": "USD"}})
    assert isinstance(shown, list)
    assert [(entry["day"], entry["amount"]) for entry in shown] == [
        ("2026-03-01", 500),
        ("2026-03-02", 0),
        ("2026-03-03", 300),
    ]


def test_values_of_different_currencies_are_never_added(modules: Page):
    cards = [{"value": 100, "currency": "USD"}, {"value": 50, "currency": "EUR"}, {"value": 1, "currency": "USD"}]
    assert call(modules, "cart_readings", "total", cards) == [
        {"currency": "USD", "value": 101},
        {"currency": "EUR", "value": 50},
    ]


FIELDS = [
    {"name": "type", "kind": "text", "operators": ["equals", "in"]},
    {"name": "cart_value", "kind": "number", "operators": ["equals", "above"]},
    {"name": "is_weekend", "kind": "flag", "operators": ["equals"]},
]
CONDITIONS = [
    None,
    {"field": "type", "operator": "in", "value": ["cart_abandoned", "cart_expired"]},
    {
        "any": [
            {"field": "cart_value", "operator": "above", "value": 100},
            {"field": "is_weekend", "operator": "equals", "value": False},
            {"field": "properties.size", "operator": "equals", "value": "5"},
            {"field": "properties.size", "operator": "equals", "value": 5},
            {"field": "properties.gift", "operator": "exists"},
        ]
    },
]


def test_a_condition_is_the_same_after_it_was_rows_of_a_form(modules: Page):
    for condition in CONDITIONS:
        rows = call(modules, "routing_readings", "flat", condition)
        assert call(modules, "routing_readings", "conditionOf", rows, FIELDS) == condition
    nested = {"all": [{"not": {"field": "type", "operator": "equals", "value": "page_viewed"}}]}
    assert call(modules, "routing_readings", "flat", nested) is None
    assert call(modules, "routing_readings", "says", nested) == "not (type is page_viewed)"


def test_an_event_to_try_a_condition_on_has_what_it_asks_for(modules: Page):
    sample = call(modules, "routing_readings", "sampleFor", CONDITIONS[2], "2026-06-01T12:00:00Z")
    assert isinstance(sample, dict)
    assert (sample["cart_value"], sample["is_weekend"]) == (101, False)
    assert sample["properties"] == {"size": 5, "gift": True}


def test_steps_are_the_same_after_they_were_rows_of_a_form(modules: Page):
    steps = [
        {"op": "rename", "path": "colour", "to": "color"},
        {"op": "default", "path": "place.floor", "value": "5"},
        {"op": "minor_units", "path": "price", "currency": "EUR"},
        {"op": "minor_units", "path": "price", "currency_at": "price_currency"},
        {"op": "minor_units", "path": "price"},
        {"op": "drop", "path": "lines[].internal"},
    ]
    rows = call(modules, "schema_readings", "rowsOf", steps)
    assert call(modules, "schema_readings", "stepsOf", rows) == steps


LOST = {"looked_at": "2026-06-01T12:00:00Z", "log_lost": True, "unread_since": 0, "unread": []}
UNREAD = [{"group": "pipeline", "topic": "raw", "records": 7}, {"group": "intelligence", "topic": "raw", "records": 9}]


@pytest.mark.parametrize(
    ("loss", "word"),
    [
        ({**LOST, "looked_at": None}, "Extent not known"),
        ({**LOST, "log_lost": False}, "No event lost"),
        (LOST, "No event lost"),
        ({**LOST, "unread": UNREAD, "unread_since": 2}, "Events lost"),
    ],
)
def test_a_loss_is_said_with_what_to_do(modules: Page, loss: dict[str, object], word: str):
    said = call(modules, "pipeline_readings", "lossWords", loss)
    assert isinstance(said, dict)
    assert said["word"] == word
    assert said["advice"]
    assert ("Up to 11 records" in said["says"]) == (word == "Events lost")


def test_patching_keeps_what_a_person_is_using(modules: Page):
    kept = modules.evaluate("""async () => {
        const { h, patch } = await import("/console/dom.js");
        const root = document.body.appendChild(document.createElement("div"));
        const view = (figures) => [h("input", {key: "field"}), ...figures.map((n) => h("p", {key: n}, n))];
        patch(root, view([1, 2, 3]));
        const field = root.querySelector("input");
        field.focus();
        field.value = "half a wo";
        patch(root, view([3, 1, 4]).reverse());
        return [document.activeElement === field, field.value, root.textContent];
    }""")
    assert kept == [True, "half a wo", "413"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_can_be_read_on_its_ground(modules: Page, theme: str):
    poor = [pair for pair in TEXT_PAIRS if contrast(modules, theme, *pair) < 4.5]
    assert poor == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_control_stands_out_from_its_ground(modules: Page, theme: str):
    poor = [pair for pair in SHAPE_PAIRS if contrast(modules, theme, *pair) < 3]
    assert poor == []


def contrast(page: Page, theme: str, text: str, ground: str) -> float:
    """WCAG's ratio of two tokens, as the browser computes them."""
    colours = page.evaluate(
        """([theme, ...names]) => {
            document.documentElement.dataset.theme = theme;
            const probe = document.body.appendChild(document.createElement("i"));
            const colours = names.map((name) => {
                probe.style.color = name.includes("(") ? name : `var(--${name})`;
                return getComputedStyle(probe).color;
            });
            probe.remove();
            return colours;
        }""",
        [theme, text, ground],
    )
    light, dark = sorted((luminance(colour) for colour in colours), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    """Of `rgb(1, 2, 3)` or `color(srgb 0.1 0.2 0.3)`."""
    scale = 255 if colour.startswith("rgb") else 1
    parts = colour[colour.index("(") + 1 : -1].replace(",", " ").replace("srgb", " ").split()
    channels = [float(part) / scale for part in parts[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * channel for weight, channel in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_nothing_comes_from_elsewhere_and_nothing_is_inline():
    sources = [file.read_text() for file in FOLDER.rglob("*") if file.suffix in {".js", ".css", ".html"}]
    assert set(re.findall(r"https?://[^\s\"'`)]+", "\n".join(sources))) <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<script>|<style|\s(on\w+|style)=", (FOLDER / "index.html").read_text())


def test_files_stay_small_and_open_with_what_they_are_for():
    modules = list(FOLDER.rglob("*.js"))
    assert modules
    assert not [file for file in modules if not file.read_text().startswith("// ")]
    assert not [file for file in FOLDER.rglob("*.*") if file.suffix in {".js", ".css"} and lines(file) > LONGEST]


def lines(file: Path) -> int:
    return len(file.read_text().splitlines())
