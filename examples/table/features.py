"""Push a table, get features; evaluate a model on arrays. No server, no log, no files."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

import headrace as hr


class Click(hr.Event):
    """One click: who, how long after the page was shown, and when."""

    user: str
    seconds: float
    at: datetime


clicks = hr.source("clicks", Click, time=Click.at)
user = clicks.by(Click.user)
habits = clicks.vector("habits", Click.seconds, user.count("1h"), user.mean(Click.seconds, "1h", default=0.0))


def main() -> None:
    """Show the features of six clicks, and how well a model learns from 2,000 made-up rows."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    at = [start + timedelta(minutes=20 * number) for number in range(6)]
    table = habits.compute(clicks=pa.table({"user": list("ababaa"), "seconds": [3.0, 5, 4, 6, 9, 2], "at": at}))
    for row in table.to_pylist():
        print({name: value for name, value in row.items() if not name.startswith("_")}, row["_reason_user_count_1h"])

    draw = np.random.default_rng(1)
    X = draw.normal(size=(2_000, 3))  # noqa: N806 - the field's name for it
    y = (X[:, 0] - X[:, 1] + 0.5 * draw.normal(size=2_000) > 0).astype(float)
    report = hr.prequential(hr.models.Logistic(), X, y, delay=50)
    print(f"log loss {report.metric('log_loss'):.3f}, AUC {report.metric('auc'):.3f}, labels 50 rows late")


if __name__ == "__main__":
    main()
