"""A message in the user's editor."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from streams.settings import ConfigurationError

DEFAULT_EDITOR = "vi"


def edited(value: bytes | None) -> bytes | None:
    """What a person makes of these bytes in $VISUAL or $EDITOR; JSON is indented for it.

    The bytes as they were where nothing was changed. Raises ConfigurationError when the editor cannot be run
    or fails.
    """
    given = _readable(value or b"")
    with tempfile.TemporaryDirectory(prefix="flashsale-") as directory:
        file = Path(directory) / "message.json"
        file.write_bytes(given)
        _run(file)
        found = file.read_bytes()
    return value if found == given else found.rstrip(b"\n")


def _readable(value: bytes) -> bytes:
    try:
        return json.dumps(json.loads(value), indent=2, ensure_ascii=False).encode() + b"\n"
    except (ValueError, RecursionError):
        return value


def _run(file: Path) -> None:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or DEFAULT_EDITOR
    try:
        status = subprocess.run([*shlex.split(editor), str(file)], check=False).returncode
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"The editor {editor} cannot be run ({error}); set EDITOR.") from None
    if status:
        raise ConfigurationError(f"The editor {editor} ended with {status}: nothing was taken over.")
