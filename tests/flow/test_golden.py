"""An engine number stands for its output: these digests change only together with it."""

from headrace.testing.simulation.pipelines import undisturbed
from headrace.topics.digest import running_digest
from headrace.topics.manifest import ENGINE

GOLDEN_ENGINE = 2
GOLDEN = {
    ("control", "judge"): "58a98084e4a5cdf4",
    ("control", "learn"): "66a33fab750ff063",
    ("events", "ingest"): "727754d777e7bddc",
    ("examples", "join"): "8936cce2ed7872b5",
    ("features", "featurize"): "ab019db44ac9bc27",
    ("predictions", "predict"): "4d764b9662306125",
    ("sketches", "watch.examples"): "a9275e9bfd25a5f2",
    ("sketches", "watch.features"): "a55b3a4de8935555",
    ("sketches", "watch.predictions"): "aa82066c30a2af72",
}


def test_the_output_of_an_engine_number_is_what_it_was() -> None:
    found = {}
    for place, batches in undisturbed(0).items():
        digest = 0
        for batch in batches:
            digest = running_digest(digest, batch)
        found[place] = f"{digest:016x}"
    assert ENGINE == GOLDEN_ENGINE, "a new engine number: write its digests down here"
    assert found == GOLDEN, "output has changed: raise ENGINE in topics/manifest.py, and write the new digests down"
