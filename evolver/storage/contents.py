"""Store the contents of files, each once, by its hash."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from dataclasses import dataclass

from evolver.types import Files


@dataclass(frozen=True)
class Contents:
    """The contents in a database. Rows of other tables refer to them by JSON, path -> hash."""

    database: sqlite3.Connection

    def keep(self, files: Files) -> str:
        """Store the contents that are new; return the JSON that refers to the files."""
        hashes = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
        self.database.executemany(
            "INSERT OR IGNORE INTO contents (hash, content) VALUES (?, ?)",
            [(hashes[path], content) for path, content in files.items()],
        )
        return json.dumps(hashes)

    def files(self, hashes: str) -> dict[str, bytes]:
        """Return the files that the JSON from `keep` refers to."""
        files = {}
        for path, key in json.loads(hashes).items():
            (content,) = self.database.execute(
                "SELECT content FROM contents WHERE hash = ?", (key,)
            ).fetchone()
            files[path] = bytes(content)
        return files
