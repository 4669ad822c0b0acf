"""`headrace features`: versions of definitions, and values by key, as the log stands or as of a past time."""

import shutil
from pathlib import Path

import pytest

from headrace.run.project import Project
from tests.unit.cli.test_cli import Shell, ended, shell, small

__all__ = ["ended", "shell"]  # The fixtures of these names are used below.

SECOND = """
bold = hr.Pipeline(
    "bold", features=risk, label=disputed, model=hr.models.Logistic(rate=0.5), learn=hr.Learn(every="1h"),
    serve=hr.Serve(fallback=[hr.Constant(0.1)]),
)
"""


def test_features_are_listed_with_the_versions_of_their_definitions(shell: Shell, ended: Path) -> None:
    found = shell.json("features", ended)
    vector = Project.load(ended).pipeline.features
    assert (found["vector"], found["fingerprint"]) == ("risk", vector.fingerprint)
    assert [entry["feature"] for entry in found["features"]] == list(vector.features)
    assert len({entry["versions"] for entry in found["features"] if entry["versions"]}) == 4
    assert shell.good("features", ended, "--vector", "risk").startswith(f"risk {vector.fingerprint}: 7 features")


def test_features_are_found_by_key_and_the_position_is_told(shell: Shell, ended: Path) -> None:
    before = (ended.parent / ".headrace" / "log.sqlite").read_bytes()
    found = shell.json("features", "get", ended, "--key", "card=c7", "--key", "card=c8,country=DE,amount=3")
    assert [row["key"] for row in found["rows"]] == ["card=c7", "card=c8,country=DE,amount=3"]
    assert found["rows"][0]["reasons"]["amount"] == "missing_input"
    assert found["rows"][1]["features"]["amount"] == 3.0
    assert set(found["rows"][1]["reasons"].values()) <= {"ok", "expired"}
    assert found["position"] != "start"
    text = shell.good("features", "get", ended, "--key", "card=c7")
    assert f"events read through {found['position']} (served)" in text
    assert (ended.parent / ".headrace" / "log.sqlite").read_bytes() == before


def test_features_as_of_a_time_are_those_that_the_request_of_that_time_had(shell: Shell, ended: Path) -> None:
    told = shell.json("explain", ended, "p100")
    request = told["request"]
    key = f"card={request['card']},country={request['country']},amount={request['amount']}"
    found = shell.json("features", "get", ended, "--key", key, "--at", request["event_time"])
    assert found["rows"][0]["features"] == {entry["feature"]: entry["value"] for entry in told["features"]}
    complete = shell.json("features", "get", ended, "--key", key, "--at", request["event_time"], "--truth", "complete")
    assert (complete["truth"], complete["rows"][0]["at"]) == ("complete", found["rows"][0]["at"])


def test_a_comma_in_a_value_is_a_part_of_it(shell: Shell, ended: Path) -> None:
    found = shell.json("features", "get", ended, "--key", "card=c7,c8,country=DE")
    assert found["rows"][0]["reasons"]["card_count_1h"] == "no_key"
    assert found["rows"][0]["reasons"]["country"] == "ok"


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("--key", "crad=c7"), "did you mean 'card'?"),
        (("--key", "amount=much"), "wanted a number"),
        ((), "--key FIELD=VALUE"),
        (("--key", "card=c7", "--vector", "rsk"), "did you mean 'risk'?"),
        (("--key", "card=c7", "--at", "yesterday"), "wanted a time"),
        (("--key", "card=c7", "--at", "2026-01-02T00:00"), "a time zone"),
        (("--key", "card=c7", "--truth", "complete"), "--at TIME"),
    ],
)
def test_what_cannot_be_found_is_the_users_mistake(
    shell: Shell, ended: Path, words: tuple[str, ...], wanted: str
) -> None:
    code, out, err = shell("features", "get", ended, *words)
    assert (code, out) == (2, "")
    assert wanted in err


def test_two_pipelines_of_one_vector_run_together_and_answer_for_it_alike(shell: Shell, tmp_path: Path) -> None:
    file = small(tmp_path)
    file.write_text(file.read_text() + SECOND)
    text = shell.good("run", file)
    assert text.startswith("payments, bold ended after ")
    found = shell.json("features", "get", file, "--vector", "risk", "--key", "card=c7")
    for name in ("payments", "bold"):
        assert shell.json("features", "get", file, "--pipeline", name, "--key", "card=c7") == found
        assert shell.json("verify", file, "--pipeline", name)["differ"] == 0
    again = shell.json("run", file)
    assert set(again["pipelines"]) == {"payments", "bold"}
    assert again["pipelines"]["payments"]["log_loss"] != again["pipelines"]["bold"]["log_loss"]
    assert shell("features", "get", file, "--key", "card=c7")[0] == 2  # Which of the two is not said.
    shutil.rmtree(file.parent / ".headrace")
