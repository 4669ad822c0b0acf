"""[retention] of headrace.toml: durations by topic, with the nearest name for one that does not exist."""

from pathlib import Path

import pytest

from headrace.core.config import Config, load_config
from headrace.core.errors import ConfigError
from headrace.core.time import DAY_US


def load(folder: Path, text: str) -> Config:
    (folder / "headrace.toml").write_text(text)
    return load_config(folder / "headrace.toml")


def test_everything_is_kept_unless_a_topic_has_a_duration(tmp_path: Path) -> None:
    assert load(tmp_path, "").retention_us == {}
    assert load(tmp_path, '[retention]\nfeatures = "7d"').retention_us == {"features": 7 * DAY_US}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('feature = "7d"', "did you mean 'features'"),
        ('features = "7 days"', "a duration such as"),
        ('features = "0s"', "more than nothing"),
        ("features = 7", "values of the kinds"),
    ],
)
def test_a_retention_that_is_none_is_the_users_mistake(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, f"[retention]\n{text}")
