"""The world that synthetic transactions come from: merchants, countries, kinds and amounts.

All of it is integer arithmetic on tables that are the same on every machine: the tables come from `decimal`,
whose exponential is rounded correctly, and not from the machine's floating-point library.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from functools import cache

MERCHANTS: tuple[str, ...] = (
    "Corner Grocery", "Green Market", "Daily Bread Bakery", "Café Müller", "Noodle House", "Taquería El Sol",
    "Harbor Fish", "City Pharmacy", "Optic Center", "Smile Dental", "Blue Line Transit", "Metro Taxi",
    "Skyway Airlines", "Northern Rail", "Seaside Hotel", "Hostel 21", "Fuel Stop 7", "Charge Point",
    "Auto Parts Plus", "Bike Works", "Home & Garden", "Paint Depot", "Furniture Loft", "Lighting World",
    "Book Nook", "Paper & Pen", "Game Vault", "Record Shop", "Cinema Palace", "Museum Tickets",
    "Cloud Storage Co", "Mobile One", "Fiber Net", "Power & Light", "Water Utility", "Insurance Direct",
    "Sport Outlet", "Shoe Corner", "Denim Factory", "Kids Planet", "Pet Friends", "Flower Stand",
    "Electronics Hub", "Camera Store", "Jewel Box", "Watch Maker", "Charity Fund", "Parking Garage",
)  # fmt: skip

KINDS: tuple[str, ...] = ("purchase",) * 11 + ("withdrawal",) * 2 + ("transfer",) * 2 + ("refund",)
"""Sixteen, so that four bits choose."""

PLACES: tuple[tuple[str, str], ...] = (
    ("US", "USD"), ("US", "USD"), ("US", "USD"), ("US", "USD"), ("US", "USD"), ("CA", "CAD"),
    ("GB", "GBP"), ("GB", "GBP"), ("DE", "EUR"), ("DE", "EUR"), ("FR", "EUR"), ("ES", "EUR"),
    ("CH", "CHF"), ("SE", "SEK"), ("JP", "JPY"), ("AU", "AUD"),
)  # fmt: skip
"""Country and currency of an account, sixteen by weight."""

UNIT = 1 << 16
"""The factor 1.0 of `noise`."""

NOISE_STEPS = 1021
"""The sum of four bytes is 0-1020: bell-shaped, mean 510, standard deviation 147.8."""


@cache
def noise() -> tuple[int, ...]:
    """Log-normal factors (sigma 0.35) by the sum of four random bytes, in units of 1/65,536: 0.30 to 3.35."""
    return _log_normal(NOISE_STEPS, Decimal(510), Decimal("147.8"), Decimal("0.35"), UNIT)


@cache
def typical_amounts() -> tuple[int, ...]:
    """Typical amounts of ordinary accounts in cents, by six random bits: log-normal around 40.00."""
    return _log_normal(64, Decimal("31.5"), Decimal("18.5"), Decimal("0.9"), 4000)


def _log_normal(steps: int, mean: Decimal, deviation: Decimal, sigma: Decimal, scale: int) -> tuple[int, ...]:
    with localcontext() as context:
        context.prec = 28
        return tuple(
            int((sigma * (Decimal(step) - mean) / deviation).exp() * scale + Decimal("0.5"))
            for step in range(steps)
        )
