"""What a card's features are when cards are forgotten now and then: plain search, from the top, for every payment."""

from collections.abc import Sequence

DAY = 24 * 60


def features(steps: Sequence[tuple[str, str, int, float]]) -> list[tuple[float, float, float, str]]:
    """Return (count of a day, mean of a week, greatest ever, reason) for each payment.

    steps: ("pay", card, minute, amount) or ("forget", card, 0, 0.0), in the order of the log.
    """
    found = []
    for place, (what, card, minute, _) in enumerate(steps):
        if what != "pay":
            continue
        known: list[tuple[int, float]] = []
        for earlier, whose, when, amount in steps[:place]:
            if whose == card and earlier == "forget":
                known = []
            elif whose == card:
                known.append((when, amount))
        day = [amount for when, amount in known if minute - DAY <= when < minute]
        week = [amount for when, amount in known if minute - 7 * DAY <= when < minute]
        ever = [amount for when, amount in known if when < minute]
        reason = "ok" if day else "expired" if known else "no_key"
        found.append((float(len(day)), sum(week) / len(week) if week else -1.0, max(ever, default=-1.0), reason))
    return found
