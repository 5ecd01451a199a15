"""The shop's script stays small and free of dependencies; the demo shop sells what the simulated shoppers buy."""

import gzip
import json
import re
from pathlib import Path

import recoup.storefront
from recoup.demo.catalogue import PRODUCTS

FOLDER = Path(recoup.storefront.__file__).parent
LIMIT_BYTES = 10_000


def test_the_script_is_under_ten_kilobytes_on_the_wire():
    assert len(gzip.compress((FOLDER / "recoup.js").read_bytes(), 9)) < LIMIT_BYTES


def test_nothing_comes_from_elsewhere():
    files = [file for file in FOLDER.rglob("*") if file.suffix in {".js", ".css", ".html"}]
    text = "\n".join(file.read_text() for file in files)
    allowed = {"http://www.w3.org/2000/svg", "https://recoup.example/sdk/recoup.js"}
    assert set(re.findall(r"https?://[^\s\"'`)]+", text)) <= allowed
    assert "import " not in (FOLDER / "recoup.js").read_text()


def test_the_shop_has_what_the_simulated_shoppers_buy():
    shelf = json.loads((FOLDER / "shop/products.json").read_text())
    assert [(one["product_id"], one["name"], one["category"], one["price"]) for one in shelf] == [
        (one.product_id, one.name, one.category, one.price) for one in PRODUCTS
    ]


def test_every_product_is_drawn():
    art = (FOLDER / "shop/art.js").read_text()
    assert all(re.search(rf"^  {one.product_id}: `", art, re.MULTILINE) for one in PRODUCTS)
