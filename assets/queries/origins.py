"""Note in a source's manifest what it was made of (wordnets, dumps, days of views, limits), and read that back."""

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from assets.queries.languages import wikis_of
from resources.lake.resource import WHOLE, Lake
from resources.sources.resource import Sources

Origin = Mapping[str, Any]
"""`wordnets` and `dumps` by language, `days` of views, `limits` by language; each source has some of them."""

_ORIGIN = "origin"


def record_origin(**origin: Any) -> dict[str, str]:
    """For the manifest of a source, so that nobody has to look at files that may be others by then."""
    return {_ORIGIN: json.dumps(origin, sort_keys=True)}


def read_origin(lake: Lake, table: str) -> dict[str, Any]:
    """What a source was made of; empty where it was never made, or by a version that did not note it."""
    manifest = lake.store(table, WHOLE).manifest()
    return dict(json.loads(manifest.inputs.get(_ORIGIN, "{}"))) if manifest else {}


def list_dumps(sources: Sources) -> dict[str, list[str]]:
    """The names of the dumps that each language is read from, with their dates: `enwiki-20261101`."""
    dumps, names = sources.dumps(), defaultdict[str, list[str]](list)
    for wiki, language in wikis_of(sources).items():
        names[language].append(dumps.name(wiki))
    return dict(names)
