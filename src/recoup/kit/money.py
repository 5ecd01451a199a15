"""Money as whole minor units and an ISO 4217 code. Never a float, never a conversion between currencies."""

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Annotated

from msgspec import Meta, Struct

from recoup.kit.errors import Invalid

Currency = Annotated[str, Meta(pattern="^[A-Z]{3}$", description="ISO 4217 code")]

# ISO 4217 currencies whose minor unit is not a hundredth; all others have two digits.
_DIGITS = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI"), 0),
    **dict.fromkeys(("VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}


class Money(Struct, frozen=True):
    """An amount in minor units of its currency: 1999 USD is 19.99 dollars."""

    amount: int
    currency: Currency


def minor_units(text: str, currency: str) -> int:
    """A decimal string such as "19.99" in minor units; raises Invalid for what is not a number."""
    try:
        value = Decimal(text).scaleb(_DIGITS.get(currency, 2))
        return int(value.to_integral_value(ROUND_HALF_UP))
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise Invalid(f"not an amount of money: {text!r}") from error


def major_units(amount: int, currency: str) -> Decimal:
    """The inverse of `minor_units`, with the currency's own number of digits: 1999 USD is 19.99."""
    return Decimal(amount).scaleb(-_DIGITS.get(currency, 2))
