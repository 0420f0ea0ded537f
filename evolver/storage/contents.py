"""Contents of files, each stored once, by its hash."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from dataclasses import dataclass

from evolver.types import Files


@dataclass(frozen=True)
class Contents:
    """The contents in a database; a row of another table names files as JSON, path -> hash."""

    database: sqlite3.Connection

    def keep(self, files: Files) -> str:
        """Store contents that are new; return the JSON that names the files."""
        hashes = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
        self.database.executemany(
            "INSERT OR IGNORE INTO contents (hash, content) VALUES (?, ?)",
            [(hashes[path], content) for path, content in files.items()],
        )
        return json.dumps(hashes)

    def files(self, named: str) -> dict[str, bytes]:
        """Return the files that a JSON text of `keep` names."""
        files = {}
        for path, key in json.loads(named).items():
            (content,) = self.database.execute(
                "SELECT content FROM contents WHERE hash = ?", (key,)
            ).fetchone()
            files[path] = bytes(content)
        return files
