"""The words of a text by definition, as texts: no hash, no array. Imports nothing of ours."""

import unicodedata


def words(text: str) -> list[str]:
    """Return the runs of letters, marks, digits and _, in lower case."""
    found: list[str] = []
    inside = False
    for sign in text.lower():
        if unicodedata.category(sign)[0] in "LMN" or sign == "_":
            found = [*found[:-1], found[-1] + sign] if inside else [*found, sign]
            inside = True
        else:
            inside = False
    return found


def tokens(text: str, ngrams: int, most: int) -> list[tuple[str, ...]]:
    """Return the words in order, then the pairs of words, and so on; of a long text those of its first words."""
    kept = words(text)[: most // ngrams]
    return [tuple(kept[at : at + size]) for size in range(1, ngrams + 1) for at in range(len(kept) - size + 1)]
