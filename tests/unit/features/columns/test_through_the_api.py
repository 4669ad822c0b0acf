"""What the user asks of `source.by(...)` reaches these kernels, and comes back by its name."""

import math
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

import headrace as hr
from tests.oracle import decay, power_sums, quantiles
from tests.oracle.at_extremes import at_extreme


class Sale(hr.Event):
    sale: str
    shop: str
    city: str
    price: float
    stars: float
    at: datetime
    came: datetime


sales = hr.source("sales", Sale, time=Sale.at, id=Sale.sale, arrived=Sale.came, disorder="30min")
START = datetime(2026, 5, 1, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR_US = 3_600_000_000
CITIES = ("Kiel", "Jena", "")


def made(count: int) -> list[dict[str, Any]]:
    draw = random.Random(4)
    rows, now = [], START
    for number in range(count):
        now += timedelta(minutes=draw.choice([0, 1, 9, 50]))
        rows.append(
            {
                "sale": f"s{number}",
                "shop": draw.choice("ab"),
                "city": draw.choice(CITIES),
                "price": draw.choice([round(draw.gauss(0, 50), 2), 1e-30, 3e12]),
                "stars": float(draw.randrange(1, 6)),
                "at": now - timedelta(minutes=draw.choice([0, 0, 4, 25])),
                "came": now,
            }
        )
    return rows


def test_each_aggregate_is_that_of_the_rows_before_the_request() -> None:
    shop = sales.by(Sale.shop)
    vector = sales.vector(
        "v",
        var=shop.var(Sale.price, "6h", default=None),
        std=shop.std(Sale.price, "6h", default=-1.0),
        skew=shop.skew(Sale.price, hr.LastN(5), default=None),
        trend=shop.trend(Sale.price, "6h", offset="10min", default=None),
        median=shop.quantile(Sale.price, 0.5, "6h", default=None),
        top=shop.quantile(Sale.price, 0.9, hr.FOREVER, default=None),
        best=shop.argmax(Sale.city, Sale.stars, "6h", default="none") == "Jena",
        worst=shop.argmin(Sale.price, Sale.stars, "6h", default=None),
        faded=shop.sum(Sale.price, hr.Decay("1h")),
        rate=shop.count(hr.Decay("1h")),
        ewma=shop.ewma(Sale.price, "1h", default=None),
    )
    rows = made(120)
    for number, found in enumerate(vector.compute(sales=pa.Table.from_pylist(rows)).to_pylist()):
        asked = rows[number]
        mine = [row for row in rows[:number] if row["shop"] == asked["shop"] and row["at"] < asked["at"]]
        mine.sort(key=lambda row: row["at"])
        recent = [row for row in mine if row["at"] >= asked["at"] - timedelta(hours=6)]
        price = [row["price"] for row in recent]
        stars = [row["stars"] for row in recent]
        variance = power_sums.variance(price)
        earlier = [
            row
            for row in mine
            if asked["at"] - timedelta(hours=6, minutes=10) <= row["at"] < asked["at"] - timedelta(minutes=10)
        ]
        now = (asked["at"] - EPOCH) // timedelta(microseconds=1)
        epoch = (now // (32 * HOUR_US) - 2) * 32 * HOUR_US
        times = [(row["at"] - EPOCH) // timedelta(microseconds=1) for row in mine]
        counted = [(time, row["price"]) for time, row in zip(times, mine, strict=True) if time >= epoch]
        faded = decay.decayed([t for t, _ in counted], [v for _, v in counted], now, HOUR_US)
        weight = decay.decayed([t for t, _ in counted], [1.0] * len(counted), now, HOUR_US)
        cities = [float(CITIES.index(row["city"])) for row in recent]
        best = at_extreme(cities, stars, greatest=True)
        expected = {
            "var": variance,
            "std": -1.0 if math.isnan(variance) else math.sqrt(variance),
            "skew": power_sums.skewness([row["price"] for row in mine[-5:]]),
            "trend": power_sums.trend(
                [(row["at"] - EPOCH) // timedelta(microseconds=1) for row in earlier], [row["price"] for row in earlier]
            ),
            "median": quantiles.quantile(price, "0.5"),
            "top": quantiles.quantile([row["price"] for row in mine], "0.9"),
            "worst": at_extreme(price, stars, greatest=False),
            "faded": faded,
            "rate": weight,
            "ewma": faded / weight if weight else math.nan,
        }
        for name, value in expected.items():
            assert found[name] == (None if math.isnan(value) else value), name
        assert found["best"] == (best == CITIES.index("Jena"))
