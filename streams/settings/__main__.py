"""`python -m streams.settings` writes the JSON Schema of the configuration."""

from __future__ import annotations

import json

from streams.settings.config import SCHEMA_PATH, json_schema

SCHEMA_PATH.write_text(json.dumps(json_schema(), indent=2) + "\n", encoding="utf-8")
