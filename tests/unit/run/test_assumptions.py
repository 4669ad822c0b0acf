"""What is not exact says beforehand how far off it may be."""

from datetime import datetime

import headrace as hr
from headrace.run.assumptions import errors


class Payment(hr.Event):
    payment: str
    card: str
    amount: float
    at: datetime


payments = hr.source("payments", Payment, time=Payment.at, id=Payment.payment)
card = payments.by(Payment.card)


def test_only_what_is_not_exact_says_how_far_off_it_may_be() -> None:
    features = payments.vector(
        "v",
        exact=card.sum(Payment.amount, "24h"),
        tiles=hr.fill(card.count("24h", resolution="1min") / card.count("7d"), 0.0),
        ever=card.count(hr.FOREVER, resolution="1h"),
        kinds=card.distinct(Payment.amount, "1h", cap=144),
        median=card.quantile(Payment.amount, 0.5, "1h", default=0.0),
    )
    answers = payments.label(payments, Payment.amount > 5, on="card", after="1h", within="2h", otherwise=False)
    pipeline = hr.Pipeline("p", features=features, label=answers, model=hr.models.Logistic())
    assert errors(pipeline) == [
        {"feature": "tiles", "may be off by": "at each edge of the window, 1min, 0.07% of it"},
        {"feature": "ever", "may be off by": "at each edge of the window, 1h"},
        {"feature": "kinds", "may be off by": "beyond 144 values a standard error of 10.0%"},
        {"feature": "median", "may be off by": "1/128 of the value"},
    ]
