"""Which currencies a text can mean: by code, ISO 4217 number, sign or name. A sign may be several countries'."""

import html
import re
import unicodedata
from typing import Final

_BY_NUMBER: Final = {
    32: "ARS", 36: "AUD", 124: "CAD", 152: "CLP", 156: "CNY", 170: "COP", 203: "CZK", 208: "DKK", 344: "HKD",
    348: "HUF", 352: "ISK", 356: "INR", 360: "IDR", 376: "ILS", 392: "JPY", 410: "KRW", 414: "KWD", 458: "MYR",
    484: "MXN", 554: "NZD", 566: "NGN", 578: "NOK", 604: "PEN", 608: "PHP", 643: "RUB", 682: "SAR", 702: "SGD",
    704: "VND", 710: "ZAR", 752: "SEK", 756: "CHF", 764: "THB", 784: "AED", 818: "EGP", 826: "GBP", 840: "USD",
    941: "RSD", 946: "RON", 949: "TRY", 975: "BGN", 978: "EUR", 980: "UAH", 985: "PLN", 986: "BRL",
}  # fmt: skip
_DOLLARS: Final = frozenset({"USD", "CAD", "AUD", "NZD", "SGD", "HKD", "MXN", "ARS", "CLP", "COP", "TWD"})
_CROWNS: Final = frozenset({"SEK", "NOK", "DKK", "ISK"})
_SIGNS: Final = {
    **{sign: frozenset({code}) for sign, code in {
        "€": "EUR", "₹": "INR", "₽": "RUB", "₩": "KRW", "ZŁ": "PLN", "₺": "TRY", "KČ": "CZK", "FT": "HUF", "LEI": "RON",
        "R$": "BRL", "US$": "USD", "A$": "AUD", "AU$": "AUD", "C$": "CAD", "CA$": "CAD", "NZ$": "NZD", "S$": "SGD",
        "HK$": "HKD", "MX$": "MXN", "₫": "VND", "₪": "ILS", "₴": "UAH", "฿": "THB", "₱": "PHP", "₦": "NGN",
        "EURO": "EUR", "EUROS": "EUR", "STERLING": "GBP", "YEN": "JPY", "SFR": "CHF", "FR": "CHF", "FRANKEN": "CHF",
        "USDOLLAR": "USD", "USDOLLARS": "USD",
    }.items()},
    "$": _DOLLARS, "DOLLAR": _DOLLARS, "DOLLARS": _DOLLARS, "KR": _CROWNS, "£": frozenset({"GBP", "EGP"}),
    "POUND": frozenset({"GBP"}), "POUNDS": frozenset({"GBP"}), "FRANC": frozenset({"CHF"}),
    "¥": frozenset({"JPY", "CNY"}), "元": frozenset({"CNY"}), "円": frozenset({"JPY"}),
}  # fmt: skip
_AMOUNT: Final = re.compile(r"[-+\u2212]?[0-9][0-9.,'\u2019\s\u00a0\u202f]*([eE][+-]?[0-9]+)?")


def bare(text: str) -> str:
    """An amount's text without the markup of the page it was taken from, its digits as everywhere."""
    plain = html.unescape(re.sub(r"</?[a-zA-Z][^<>]*>", "", html.unescape(text)))
    return plain if plain.isascii() else "".join(str(unicodedata.decimal(one, one)) for one in plain)


def named(text: str) -> frozenset[str] | None:
    """The currencies that what stands around an amount can mean; None where nothing does, empty where it is unknown."""
    rest = _AMOUNT.sub(" ", bare(text)).upper()
    words = [word for word in re.split(r"[\s.,:()/*-]+", rest) if word and word not in _REMARKS]
    found: frozenset[str] | None = None
    for word in words:
        meant = _meaning(word)
        found = meant if found is None else found & meant or (meant if meant <= found else frozenset())
    return found


_REMARKS: Final = frozenset({
    "INCL", "INKL", "INC", "INCLUDING", "INKLUSIVE", "MWST", "UST", "VAT", "TAX", "TTC", "TVA", "IVA", "BTW", "MOMS",
    "STK", "STÜCK", "PCS", "PIECE", "EACH", "EA",
})  # fmt: skip
"""Remarks that a price includes its tax and is for one piece, as the store's prices are."""


def _meaning(word: str) -> frozenset[str]:
    if (known := _SIGNS.get(word)) is not None:
        return known
    return frozenset({word}) if re.fullmatch("[A-Z]{3}", word) else frozenset()


def coded(text: str) -> frozenset[str]:
    """The codes that stand in a text as words, whatever else does."""
    return frozenset(re.findall(r"(?<![A-Za-z])[A-Z]{3}(?![A-Za-z])", text)) & frozenset(_BY_NUMBER.values())


def numbered(text: str) -> str | None:
    """The currency of an ISO 4217 number."""
    return _BY_NUMBER.get(int(text)) if re.fullmatch(r"\d{1,3}", text) else None
