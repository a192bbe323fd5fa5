"""The configuration file: defaults, bounds, and one sentence for whatever is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from streams.settings import ConfigurationError, Settings, load_settings
from streams.settings.config import DEFAULT_PATH, SCHEMA_PATH, json_schema

ROOT = Path(__file__).parents[2]

Load = Callable[[object], Settings]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Settings from a configuration file with the given content: bytes as they are, else as JSON."""

    def write_and_load(content: object) -> Settings:
        file = tmp_path / "config.json"
        file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return load_settings({"RESERVATION_CONFIG": str(file)})

    return write_and_load


def test_a_missing_default_file_means_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = load_settings({})
    assert found == Settings()
    assert found.config_source == f"defaults (there is no {DEFAULT_PATH})"


def test_the_file_that_is_shipped_is_valid_and_says_what_the_defaults_say() -> None:
    shipped = load_settings({"RESERVATION_CONFIG": str(ROOT / DEFAULT_PATH)})
    config = shipped.config.model_copy(update={"schema_location": None})
    assert replace(shipped, config=config) == Settings()
    assert shipped.config_source.endswith(str(DEFAULT_PATH))


def test_the_schema_beside_the_shipped_file_is_current_and_takes_it() -> None:
    schema = json.loads((ROOT / SCHEMA_PATH).read_text())
    assert schema == json_schema(), "write it anew: python -m streams.settings"
    shipped = json.loads((ROOT / DEFAULT_PATH).read_text())
    assert shipped["$schema"] == f"./{SCHEMA_PATH.name}"
    validator = Draft202012Validator(schema)
    validator.validate(shipped)
    assert not validator.is_valid({"partitions": 0}) and not validator.is_valid({"partition": 4})


def test_the_default_file_is_read_where_the_process_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "reservation-config.json").write_text('{"retailerId": "7"}')
    assert load_settings({}).config.catalogue == "DEFAULT:7"


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"RESERVATION_CONFIG names .*nope\.json, which"):
        load_settings({"RESERVATION_CONFIG": str(tmp_path / "nope.json")})


def test_a_named_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        load_settings({"RESERVATION_CONFIG": str(tmp_path)})


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"{", "the file is not valid JSON"),
        (b"\xff", "is not UTF-8"),
        (b"[]", "the file must be a JSON object"),
        ({"lokTimeoutMs": 1}, "lokTimeoutMs is not a known key"),
        ({"retailer_id": "1"}, "retailer_id is not a known key"),
        ({"partitions": "4"}, "partitions must be a whole number"),
        ({"partitions": 4.0}, "partitions must be a whole number"),
        ({"partitions": 0}, "partitions must be at least 1, but is 0"),
        ({"autoReleaseEnabled": "true"}, 'autoReleaseEnabled must be true or false, but is "true"'),
        ({"claimGraceSeconds": -1}, "claimGraceSeconds must be at least 0"),
        ({"claimGraceSeconds": "5"}, "claimGraceSeconds must be a number"),
        (b'{"claimGraceSeconds": NaN}', "claimGraceSeconds must be a finite number"),
        ({"reservationDurationMinutes": 10_081}, "reservationDurationMinutes must be at most 10,080"),
        ({"retailerId": ""}, "retailerId must not be empty"),
        ({"orderPolicy": "all"}, "orderPolicy must be 'partial' or 'all-or-nothing', but is \"all\""),
        ({"fluentProfile": "x"}, "fluentProfile must be"),
        ({"settlement": "x"}, "settlement must be"),
        ({"inputMapping": []}, "inputMapping must be a JSON object"),
    ],
)
def test_a_wrong_file_is_one_sentence_that_names_the_key(load: Load, content: object, sentence: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(content)
    text = str(caught.value)
    assert sentence in text
    assert "config.json" in text and text.endswith(".") and "\n" not in text


def test_durations_are_handed_out_in_milliseconds(load: Load) -> None:
    config = load(
        {"claimGraceSeconds": 0.25, "claimRetentionHours": 1, "reservationDurationMinutes": 45}
    ).config
    assert config.claim_grace_ms == 250
    assert config.claim_retention_ms == 3_600_000
    assert config.default_duration_ms == 2_700_000


def test_lock_timeout_of_the_seed_is_taken_with_a_notice(load: Load) -> None:
    assert any("lockTimeoutMs has no effect" in notice for notice in load({"lockTimeoutMs": 5000}).notices)


def test_an_unusual_default_duration_is_a_notice(load: Load) -> None:
    assert load({"reservationDurationMinutes": 120}).notices == ()
    assert "outside the usual 30 to 120" in load({"reservationDurationMinutes": 121}).notices[0]


def test_a_verify_that_comes_before_the_last_late_write_is_a_notice(load: Load) -> None:
    assert "a late write can reach Fluent for 16 s" in load({"fluentVerifySeconds": 16}).notices[0]
    assert load({"fluentVerifySeconds": 16.1}).notices == ()


def test_the_catalogue_follows_the_retailer_unless_it_is_named(load: Load) -> None:
    assert load({"retailerId": "2"}).config.catalogue == "DEFAULT:2"
    assert load({"retailerId": "2", "catalogueRef": "OUTLET"}).config.catalogue == "OUTLET"
