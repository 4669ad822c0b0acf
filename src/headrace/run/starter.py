"""The pipeline that `headrace init` writes: payments that are disputed days later, on made-up data."""

import csv
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

__all__ = ["write_starter"]

_PIPELINE: Final = '''"""Will this payment be disputed? Asked when it is made; known hours later, from the bank."""

from datetime import datetime
from typing import Annotated

import headrace as hr

Usd = Annotated[float, hr.Unit("usd", ge=0)]


class Payment(hr.Event):
    payment_id: str
    card: str
    country: str
    amount: Usd
    at: datetime


class Outcome(hr.Event):
    payment_id: str
    disputed: bool
    at: datetime


payments = hr.source("payments", Payment, time=Payment.at, id=Payment.payment_id)
outcomes = hr.source("outcomes", Outcome, time=Outcome.at)
disputed = payments.label(outcomes, Outcome.disputed, on="payment_id", within="2d", otherwise=hr.DROP)
card = payments.by(Payment.card)

risk = payments.vector(
    "risk",
    Payment.amount,
    hr.hour(Payment.at, tz="UTC"),
    hr.category(Payment.country, bits=4),
    card.count("1h"),
    card.mean(Payment.amount, "7d", default=0.0),
    disputed.by(Payment.country).mean(disputed.value, "7d", default=0.1, prior=20),
    over_usual=hr.fill(Payment.amount / card.mean(Payment.amount, "7d"), 1.0),
)

pipeline = hr.Pipeline(
    "payments",
    features=risk,
    label=disputed,
    model=hr.models.Logistic(),
    serve=hr.Serve(deadline="20ms", fallback=[hr.Constant(0.1)]),
    learn=hr.Learn(every="1h"),
    watch=[hr.PSI("features"), hr.ADWIN("error")],
    act=[hr.sink("holds", when=hr.Prediction.score > 0.5)],
)
'''

_CONFIG: Final = """# Where records come from and go to. Paths are relative to this file.

[sources.payments]
path = "payments.csv"

[sources.outcomes]
path = "outcomes.csv"

[sinks.holds]
kind = "file"
path = "holds"
"""

_PAYMENTS: Final = 5_000
_SEED: Final = 7


def write_starter(folder: Path) -> list[Path]:
    """Write pipeline.py, headrace.toml and two CSV files of made-up payments into a folder; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / name for name in ("pipeline.py", "headrace.toml", "payments.csv", "outcomes.csv")]
    files[0].write_text(_PIPELINE, encoding="utf-8")
    files[1].write_text(_CONFIG, encoding="utf-8")
    payments, outcomes = _made_up()
    for path, rows in zip(files[2:], (payments, outcomes), strict=True):
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return files


def _made_up() -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    draw = random.Random(_SEED)  # noqa: S311 - data to play with, not a secret
    at = datetime(2026, 1, 1, tzinfo=UTC)
    usual = [draw.lognormvariate(3, 0.6) for _ in range(200)]
    payments, outcomes = [], []
    for number in range(_PAYMENTS):
        at += timedelta(seconds=draw.expovariate(1 / 300))
        card = draw.randrange(len(usual))
        country = draw.choice(["DE", "FR", "IT", "PL", "XX"])
        amount = usual[card] * draw.lognormvariate(0, 0.7)
        odds = 0.04 + 0.3 * (country == "XX") + 0.25 * (amount > 3 * usual[card])
        known = at + timedelta(hours=draw.uniform(1, 40))
        payments.append(
            {
                "payment_id": f"p{number}",
                "card": f"c{card}",
                "country": country,
                "amount": round(amount, 2),
                "at": at.isoformat(),
            }
        )
        outcomes.append({"payment_id": f"p{number}", "disputed": draw.random() < odds, "at": known.isoformat()})
    outcomes.sort(key=lambda row: str(row["at"]))
    return payments, outcomes
