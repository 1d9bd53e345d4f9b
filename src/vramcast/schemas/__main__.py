"""`python -m vramcast.schemas`: write the schema files anew. What changes in one that was released needs a new version."""

from __future__ import annotations

import json

from vramcast.schemas.documents import names, path_of, schema_of

for name in names():
    path_of(name).write_text(json.dumps(schema_of(name), indent=1) + "\n", encoding="utf-8")
