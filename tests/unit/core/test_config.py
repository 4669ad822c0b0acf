"""headrace.toml: what it says is found, what it cannot mean is refused with the place and the nearest name."""

from pathlib import Path
from typing import Final

import pytest

from headrace.core.config import Config, load_config
from headrace.core.errors import ConfigError

GOOD: Final = """
[run]
folder = "state"

[sources.departures]
path = "departures.parquet"

[sources.arrivals]
paths = ["a.csv", "b.data"]
format = "csv"

[sinks.holds]
kind = "file"
path = "holds"

[sinks.desk]
kind = "webhook"
url = "env:DESK_URL"
"""


def written(folder: Path, text: str) -> Config:
    (folder / "headrace.toml").write_text(text, encoding="utf-8")
    return load_config(folder / "headrace.toml")


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    config = written(tmp_path, GOOD)
    assert config.folder == tmp_path / "state"
    assert config.log_path == tmp_path / "state" / "log.sqlite"
    assert config.files("departures") == [(tmp_path / "departures.parquet", "parquet")]
    assert config.files("arrivals") == [(tmp_path / "a.csv", "csv"), (tmp_path / "b.data", "csv")]


def test_the_log_may_stand_elsewhere(tmp_path: Path) -> None:
    config = written(tmp_path, '[log]\nkind = "embedded"\npath = "other/log.sqlite"')
    assert config.log_path == tmp_path / "other" / "log.sqlite"


def test_an_address_by_reference_is_read_from_the_environment(tmp_path: Path) -> None:
    config = written(tmp_path, GOOD)
    assert config.address("desk", {"DESK_URL": "https://desk.example/x"}) == "https://desk.example/x"


@pytest.mark.parametrize("environment", [{}, {"DESK_URL": "secret-without-scheme"}])
def test_an_address_that_is_none_is_refused_and_not_shown(tmp_path: Path, environment: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as caught:
        written(tmp_path, GOOD).address("desk", environment)
    assert "env:DESK_URL" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("[source.x]\npath='a.csv'", "did you mean 'sources'?"),
        ("[sources.x]\npth='a.csv'", "[sources.x]: wanted one of path, paths, format, got pth; did you mean 'path"),
        ("[run]\nfoldr='a'", "did you mean 'folder'?"),
        ("[log]\nkind='kafka'", "$.log.kind"),
        ("[log]\npat='x'", "did you mean 'path'?"),
        ("[sinks.x]\nkind='file'\nurl='http://x'", "path = ... alone"),
        ("[sinks.x]\nkind='webhook'\nurl='http://x'\npath='x'", "url = ... alone"),
        ("[sinks.x]\nkind='mail'\npath='x'", "$.sinks"),
        ("[sources.x]\npath='a.csv'\npaths=['b.csv']", "got both"),
        ("[sources.x]\nformat='csv'", "got neither"),
        ("[sources.x]\npath=5", "$.sources"),
        ("sources = 5", "a table"),
        ("[sources]\nx = 5", "a table"),
        ("[sources.x", "a TOML file"),
        ("base = '/tmp'", "one of run, log, verify, sources, sinks"),
    ],
)
def test_what_it_cannot_mean_is_refused(tmp_path: Path, text: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as caught:
        written(tmp_path, text)
    assert remedy in str(caught.value)


def test_a_source_or_sink_that_is_not_in_the_file_is_named(tmp_path: Path) -> None:
    config = written(tmp_path, GOOD)
    with pytest.raises(ConfigError, match="did you mean 'arrivals'"):
        config.files("arival")
    with pytest.raises(ConfigError, match="did you mean 'holds'"):
        config.sink("hold")


def test_a_file_whose_format_cannot_be_told_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="format = "):
        written(tmp_path, "[sources.x]\npath='a.data'").files("x")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a TOML file"):
        load_config(tmp_path / "headrace.toml")
