"""What the command line answers on the starter's project, to people and to machines, and its exit codes."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from headrace.cli import VERBS, main
from headrace.run.starter import write_starter

PAYMENTS: Final = 400
TOPICS: Final = ["events", "features", "predictions", "examples", "sketches", "control", "inbox", "commands"]


def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, str, str]:
    """Run one command in this process; return its exit code, and what it wrote to both streams."""
    monkeypatch.setattr(sys, "argv", ["headrace", *words])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    code = 0
    try:
        main()
    except SystemExit as done:
        code = done.code if isinstance(done.code, int) else 1
    out, err = capsys.readouterr()
    return code, out, err


class Shell:
    """Commands of one test."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys, self._monkeypatch = capsys, monkeypatch

    def __call__(self, *words: object) -> tuple[int, str, str]:
        return call(self._capsys, self._monkeypatch, *map(str, words))

    def good(self, *words: object) -> str:
        code, out, err = self(*words)
        assert (code, err) == (0, "")
        return out

    def json(self, *words: object) -> Any:
        out = self.good(*words, "--json")
        assert out.count("\n") == 1
        return json.loads(out)


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(capsys, monkeypatch)


def small(folder: Path) -> Path:
    """Write the starter with fewer payments, one of them below 0; return its file."""
    files = write_starter(folder)
    for file in files[2:]:
        file.write_text("".join(file.read_text().splitlines(keepends=True)[: PAYMENTS + 1]))
    with files[2].open("a") as payments:
        payments.write("bad,c1,DE,-5,2026-01-20T00:00:00+00:00\n")
    return files[0]


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a project that has run to its end."""
    file = small(tmp_path_factory.mktemp("ended"))
    done = subprocess.run(
        [sys.executable, "-c", "from headrace.cli import main; main()", "run", str(file), "--json"],
        check=True,
        capture_output=True,
        timeout=120,
    )
    (file.parent / "run.json").write_bytes(done.stdout)
    return file


def test_init_writes_a_project_that_check_finds_possible(shell: Shell, tmp_path: Path) -> None:
    out = shell.good("init", tmp_path / "new")
    for name in ("pipeline.py", "headrace.toml", "payments.csv", "outcomes.csv"):
        assert (tmp_path / "new" / name).stat().st_size > 0
        assert name in out
    found = shell.json("check", tmp_path / "new" / "pipeline.py")
    assert found["pipeline"] == "payments"
    assert len(found["features"]) == 7
    assert {source["source"]: source["files"] for source in found["sources"]} == {"payments": 1, "outcomes": 1}
    assert len(found["generation"]) == 16
    text = shell.good("check", tmp_path / "new" / "pipeline.py")
    assert text.startswith(f"payments is possible: 7 features, generation {found['generation']}\n")
    assert not (tmp_path / "new" / ".headrace").exists()


def test_init_does_not_write_into_a_folder_that_holds_something(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")
    code, out, err = shell("init", tmp_path)
    assert (code, out) == (2, "")
    assert "wanted a folder that is empty or not there" in err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_run_answers_with_its_figures(shell: Shell, tmp_path: Path, ended: Path) -> None:
    found = json.loads((ended.parent / "run.json").read_bytes())
    assert (found["events"], found["predictions"], found["dead"]) == (2 * PAYMENTS + 1, PAYMENTS, 1)
    assert found["ledger"]["payments"]["reasons"] == {"out_of_range": 1}
    assert (found["ledger_balances"], found["stopped"]) == (True, False)
    file = small(tmp_path)
    text = shell.good("run", file)
    assert text.startswith("payments ended after ")
    again = shell.json("run", file)
    assert {**again, "seconds": 0} == {**found, "seconds": 0}


def test_verify_answers_yes_with_0_and_no_with_1(shell: Shell, ended: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shell.json("verify", ended) == {
        "compared": 2 * PAYMENTS,
        "vectors": PAYMENTS,
        "differ": 0,
        "first": [],
        "beyond": [],
    }
    assert shell.good("verify", ended) == f"0 of {2 * PAYMENTS} differ\n"
    monkeypatch.setattr(
        "headrace.models.logistic.LogisticLearner.predict", lambda _, block: block.dense[:, 0] * 0 + 0.25
    )
    code, out, _ = shell("verify", ended, "--json")
    found = json.loads(out)
    assert code == 1
    assert found["differ"] > 100
    assert {one["recomputed"] for one in found["first"]} == {"0.25"}
    code, out, _ = shell("verify", ended)
    assert code == 1
    assert f"{found['differ']} of {2 * PAYMENTS} differ" in out


def test_explain_shows_the_request_its_features_the_answer_and_the_label(shell: Shell, ended: Path) -> None:
    found = shell.json("explain", ended, "p100")
    assert found["request"]["payment_id"] == "p100"
    assert len(found["features"]) == 7
    assert 0 < found["prediction"]["score"] < 1
    assert found["label"]["value"] in (0.0, 1.0)
    text = shell.good("explain", ended, "p100")
    assert text.startswith(f"p100: score {found['prediction']['score']:.4f} by {found['prediction']['version']}")
    code, _, err = shell("explain", ended, "p99999")
    assert code == 2
    assert "p99999" in err


def test_evaluate_shows_the_whole_and_its_windows(shell: Shell, ended: Path) -> None:
    found = shell.json("evaluate", ended, "--over", "1d")
    run = json.loads((ended.parent / "run.json").read_bytes())
    assert found["whole"]["rows"] == run["labels"] == sum(window["rows"] for window in found["windows"])
    assert found["whole"]["log_loss"] == run["log_loss"]
    assert found["coverage"] == run["labels"] / PAYMENTS
    assert len(found["windows"]) >= 2
    assert "log loss" in shell.good("evaluate", ended)


def test_versions_are_listed_and_rolled_back(shell: Shell, ended: Path, tmp_path: Path) -> None:
    found = shell.json("versions", ended)
    assert (found["held"], found["champion"]) == (False, found["versions"][-1]["version"])
    assert [entry["is"] for entry in found["versions"][-3:]] == ["", "previous", "champion"]
    copied = shutil.copytree(ended.parent, tmp_path / "copied") / "pipeline.py"
    moved = shell.json("versions", copied, "rollback")
    assert (moved["moved"], moved["held"]) == (True, True)
    assert moved["champion"] == found["versions"][-2]["version"]
    code, out, _ = shell("versions", copied, "rollback", moved["champion"])  # It is the champion: nothing moves.
    assert code == 1
    assert "champion stays" in out
    assert "following" in shell.good("versions", copied, "promote", len(found["versions"]) - 1)
    assert shell("versions", copied, "promote")[0] == 2


def test_topics_are_listed_and_their_last_rows_shown(shell: Shell, ended: Path) -> None:
    found = shell.json("topics", ended)
    assert [topic["topic"] for topic in found] == TOPICS
    rows = {topic["topic"]: topic["rows"] for topic in found}
    assert rows["events"] == 2 * PAYMENTS + 1 + 2  # and a tick of each source
    rejected = shell.json("topics", ended, "events", "--verdict", "rejected")
    assert [row["stream"] for row in rejected] == ["rejected"]
    assert "reason=out_of_range" in rejected[0]["columns"]
    assert len(shell.json("topics", ended, "predictions", "--last", "3")) == 3
    assert shell.good("topics", ended, "events", "--verdict", "duplicate") == "no such rows\n"
    code, _, err = shell("topics", ended, "predictons")
    assert code == 2
    assert "did you mean 'predictions'?" in err


def test_status_says_where_everything_stands(shell: Shell, ended: Path) -> None:
    found = shell.json("status", ended)
    assert [topic["topic"] for topic in found["topics"]] == TOPICS
    assert found["ledger_balances"]
    assert found["ledger"]["payments"]["received"] == PAYMENTS + 1
    assert (found["held"], found["versions"]) == (False, len(shell.json("versions", ended)["versions"]))
    assert "ledger balances" in shell.good("status", ended)


def test_a_misspelt_verb_or_option_is_the_users_mistake_and_the_nearest_is_named(shell: Shell, ended: Path) -> None:
    code, _, err = shell("verifi", ended)
    assert code == 2
    assert "did you mean 'verify'?" in err
    assert shell("verify", ended, "--jsn")[0] == 2
    code, _, err = shell("run", ended, "--stages", "ingest,fetaurize")
    assert code == 2
    assert "did you mean 'featurize'?" in err


def test_a_file_that_is_not_there_or_declares_nothing_is_the_users_mistake(shell: Shell, tmp_path: Path) -> None:
    code, _, err = shell("check", tmp_path / "none.py")
    assert code == 2
    assert err.startswith("ConfigError: pipeline file: wanted a Python file")
    (tmp_path / "empty.py").write_text("")
    assert shell("check", tmp_path / "empty.py")[0] == 2


def test_records_that_cannot_be_read_are_the_surroundings_fault(shell: Shell, tmp_path: Path) -> None:
    file = small(tmp_path)
    (tmp_path / "payments.csv").unlink()
    code, _, err = shell("run", file)
    assert code == 3
    assert err.startswith("SurroundingsError: file payments.csv")


def helped() -> tuple[str, set[str]]:
    """Return what `--help` prints, and the modules that it imported."""
    code = "import sys; from headrace.cli import main\ntry: main()\nfinally: print(*sys.modules, file=sys.stderr)"
    words = [sys.executable, "-c", code, "--help"]
    done = subprocess.run(words, check=True, capture_output=True, text=True, timeout=60)
    return done.stdout, set(done.stderr.split())


def test_help_lists_every_verb_and_imports_no_compiler_and_no_verb() -> None:
    out, modules = helped()
    assert all(f"  {verb} " in out for verb in VERBS)
    assert "headrace.cli" in modules
    assert "numba" not in modules
    assert not modules & {f"headrace.cli.{verb}" for verb in VERBS}


def test_help_does_not_import_pyarrow() -> None:
    assert "pyarrow" not in helped()[1]
