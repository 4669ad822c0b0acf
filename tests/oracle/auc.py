"""The area under the ROC curve by definition: every pair is looked at. Imports nothing of ours."""


def auc(y: list[float], score: list[float]) -> float:
    """Return the share of pairs of a 1 and a 0 in order; a tie is half a pair."""
    ones = [s for label, s in zip(y, score, strict=True) if label == 1]
    zeros = [s for label, s in zip(y, score, strict=True) if label == 0]
    won = sum(1.0 if one > zero else 0.5 if one == zero else 0.0 for one in ones for zero in zeros)
    return won / (len(ones) * len(zeros))
