"""Words of texts: hashed, ragged, learnt from; by definition, live and in a notebook alike."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import headrace as hr
from headrace.core.events import event_schema
from headrace.core.tokens import Tokens
from headrace.core.words import TOKENS_MAX
from headrace.features.words import tokens_of
from headrace.testing import drive
from tests.oracle import words as oracle

START = datetime(2026, 1, 1, tzinfo=UTC)


class Txn(hr.Event):
    txn_id: str
    memo: str | None
    note: str
    amount: float
    at: datetime


class Outcome(hr.Event):
    txn_id: str
    fraud: bool
    at: datetime


txns = hr.source("txns", Txn, time=Txn.at, id=Txn.txn_id)
outcomes = hr.source("outcomes", Outcome, time=Outcome.at)
fraud = txns.label(outcomes, Outcome.fraud, on="txn_id", within="1h", otherwise=False)
vector = txns.vector(
    "v",
    Txn.amount,
    hr.words(Txn.memo, bits=12, ngrams=2),
    hr.category(Txn.note, bits=3),
    loud=hr.words(Txn.note, bits=6),
)
pieces = st.sampled_from(["Gift", " ", "card", "-", "É", "日本", "5", "_", "...", "ß", "e\u0301", "\n", "to be", ""])
texts = st.one_of(st.none(), st.lists(pieces, max_size=12).map("".join))


@given(st.lists(texts, min_size=1, max_size=8), st.integers(1, 4))
def test_the_ids_stand_for_the_words_of_the_definition(drawn: list[str | None], ngrams: int) -> None:
    found = tokens_of(pa.array(drawn, pa.string()), 28, ngrams).lists()
    wanted = [oracle.tokens(text or "", ngrams, TOKENS_MAX) for text in drawn]
    assert [len(ids) for ids in found] == [len(names) for names in wanted]
    # One id for one name; 2**28 ids keep the few names of a test apart.
    named: dict[tuple[str, ...], int] = {}
    for ids, names in zip(found, wanted, strict=True):
        for id, name in zip(ids, names, strict=True):
            assert 0 <= id < 2**28
            assert named.setdefault(name, id) == id
    assert len(set(named.values())) == len(named)


@given(st.lists(texts, min_size=1, max_size=8), st.integers(0, 8))
def test_a_text_has_its_ids_whatever_stands_beside_it(drawn: list[str | None], cut: int) -> None:
    whole = pa.array(drawn, pa.string())
    parts = [tokens_of(part, 10, 2) for part in (whole.slice(0, cut), whole.slice(cut))]
    assert Tokens.joined(parts).lists() == tokens_of(whole, 10, 2).lists()


@pytest.mark.parametrize("ngrams", [1, 2, 5])
def test_of_a_long_text_the_first_words_count(ngrams: int) -> None:
    long = " ".join(f"w{number}" for number in range(3 * TOKENS_MAX))
    found = tokens_of(pa.array([long, "end"]), 28, ngrams)
    assert len(found.lists()[0]) == len(oracle.tokens(long, ngrams, TOKENS_MAX)) <= TOKENS_MAX
    assert len(found.lists()[1]) == 1


rows = st.lists(st.lists(st.integers(0, 9), max_size=4), min_size=1, max_size=6)


def ragged(lists: list[list[int]]) -> Tokens:
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in lists])]).astype(np.int64)
    return Tokens(offsets, np.array([id for one in lists for id in one], np.int32))


@given(rows, rows, st.data())
def test_ragged_rows_are_cut_taken_and_put_beside_each_other(
    one: list[list[int]], two: list[list[int]], data: st.DataObject
) -> None:
    count = min(len(one), len(two))
    one, two = one[:count], two[:count]
    start = data.draw(st.integers(0, count))
    stop = data.draw(st.integers(start, count))
    places = data.draw(st.lists(st.integers(0, count - 1), max_size=8))
    left, right = ragged(one), ragged(two)
    assert left.rows(start, stop).lists() == one[start:stop]
    assert left.rows(start, stop).packed.lists() == one[start:stop]
    assert left.take(np.array(places, np.int64)).lists() == [one[place] for place in places]
    both = Tokens.beside([left, right], [0, 10])
    assert both.lists() == [[*a, *(id + 10 for id in b)] for a, b in zip(one, two, strict=True)]
    assert both.part(0, 10).lists() == one
    assert both.part(10, 20).lists() == two
    assert Tokens.of_arrow(left.arrow.slice(start, stop - start)).lists() == one[start:stop]
    assert left.rows(start, stop).take(np.arange(stop - start)).lists() == one[start:stop]


def test_words_are_laid_out_behind_the_categories() -> None:
    blocks = vector.blocks()
    assert (blocks.dense, blocks.categories, blocks.tokens) == (("amount",), ("note",), ("memo", "loud"))
    assert (blocks.token_sizes, blocks.token_starts) == ((4096, 64), (0, 4096))
    assert blocks.names == ("amount", "note", "memo", "loud")


def table_of(records: list[Any]) -> pa.Table:
    kind = type(records[0])
    return pa.Table.from_pylist(
        [{name: getattr(record, name) for name in kind.__struct_fields__} for record in records],
        event_schema(kind).arrow,
    )


def histories(count: int) -> tuple[list[Txn], list[Outcome]]:
    draw = random.Random(3)
    asked, told = [], []
    for number in range(count):
        bad = draw.random() < 0.5
        memo = " ".join(draw.choices(["rent", "food", "fuel", "bill"], k=3) + (["gift", "card"] if bad else []))
        at = START + timedelta(minutes=10 * number)
        text = None if draw.random() < 0.1 else memo
        asked.append(Txn(txn_id=f"t{number}", memo=text, note="Thank you", amount=1.0, at=at))
        told.append(Outcome(txn_id=f"t{number}", fraud=bad, at=at + timedelta(minutes=5)))
    return asked, told


def test_live_a_notebook_and_a_backfill_have_the_same_ids_and_they_verify() -> None:
    pipeline = hr.Pipeline(
        "words", features=vector, label=fraud, model=hr.models.Logistic(), learn=hr.Learn(every="1h")
    )
    asked, told = histories(40)
    computed = vector.compute(txns=table_of(asked))
    assert computed.schema.field("memo").type == pa.list_(pa.int32())
    driven = drive(pipeline, start="2026-01-01T00:00Z")
    for number, (request, answer) in enumerate(zip(asked, told, strict=True)):
        driven.send(txns, request)
        driven.advance("5min")
        driven.send(outcomes, answer)
        driven.advance("5min")
        if number % 13 == 0:
            driven.crash()
            assert driven.features() == {name: computed[name][number].as_py() for name in vector.features}
            assert driven.reasons()["memo"] == ("missing_input" if request.memo is None else "ok")
            assert computed["_reason_memo"][number].as_py() == driven.reasons()["memo"]
    assert computed["loud"][0].as_py() == tokens_of(pa.array(["Thank you"]), 6, 1).lists()[0]
    driven.verify()


def test_a_word_that_tells_is_learnt() -> None:
    only = txns.vector("only", hr.words(Txn.memo, bits=10))
    pipeline = hr.Pipeline(
        "told", features=only, label=fraud, model=hr.models.Logistic(rate=0.3), learn=hr.Learn(every="1h")
    )
    asked, told = histories(1500)
    report = pipeline.evaluate(txns=table_of(asked), outcomes=table_of(told))
    assert report.metric("auc") > 0.9


class Mine:
    """A model of plain arrays."""

    def __init__(self, columns: Any, seed: int) -> None: ...

    def predict(self, X: Any) -> Any: ...  # noqa: N803 - the field's name for it

    def learn(self, X: Any, y: Any, w: Any) -> None: ...  # noqa: N803

    def snapshot(self) -> Any: ...

    def restore(self, arrays: Any, meta: Any) -> None: ...

    def warm_up(self) -> None: ...


class WithCategories(Mine):
    """A model of categories, not of words."""

    accepts = "block"


@pytest.mark.parametrize(("model", "refused"), [(Mine, "categories .*note"), (WithCategories, "words .*memo, loud")])
def test_a_model_without_words_is_refused_them_by_name_at_definition(model: Any, refused: str) -> None:
    with pytest.raises(hr.ConfigError, match=f"a model that accepts {refused}"):
        hr.Pipeline("x", features=vector, label=fraud, model=model)


memo: Any = Txn.memo


@pytest.mark.parametrize(
    ("mistaken", "remedy"),
    [
        (lambda: hr.words("gift", bits=4), "the constant 'gift'"),
        (lambda: hr.words(Txn.amount, bits=4), "a text"),
        (lambda: hr.words(memo, bits=0), "from 1 to 28"),
        (lambda: hr.words(memo, bits=4, ngrams=0), "from 1 to 5"),
        (lambda: hr.words(memo, bits=4, ngrams=2.0), "from 1 to 5"),  # type: ignore[arg-type]
        (lambda: hr.words(memo, bits=4) + 1, "the tokens of a text"),
        (lambda: hr.fill(hr.words(memo, bits=4), 0), "the tokens of a text"),
        (lambda: hr.is_missing(hr.words(memo, bits=4)), "the tokens of a text"),
        (lambda: hr.category(hr.words(memo, bits=4), bits=4), "the tokens of a text"),
        (lambda: hr.words(memo, bits=4) == hr.words(memo, bits=4), "the tokens of a text"),
        (lambda: txns.vector("v", Txn.note), "words"),
        (lambda: txns.vector("v", **many), "at most"),
    ],
)
def test_a_mistake_with_words_is_refused_with_the_way_out(mistaken: Any, remedy: str) -> None:
    with pytest.raises(hr.ConfigError, match=remedy):
        mistaken()


many = {f"w{number}": hr.words(memo, bits=28) for number in range(5)}
