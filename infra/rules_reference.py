"""The page of the documentation about validation, made from the table of rules.

`python -m terralab.infra.rules_reference` prints it.
"""

import sys
from itertools import groupby

from terralab.extensions.rules import RULES

_HEAD = """# Validation

Everything that enters the catalog is checked first, and each problem names the field, the rule, what is wrong with
the value and what to do:

```console
$ terralab catalog validate scene.json
document    where            rule                        message                            fix
scene.json  bbox             bbox_differs_from_geometry  the bbox is [0, 0, 1, 1], that …   write [-3.0, 37.9, …]
scene.json  assets.B04.href  href_credentials            the address carries a credential…  give it without, and …
```

There are three layers:

1. The official JSON Schemas: of the STAC core, 1.1.0 or 1.0.0, and of every extension that the document declares.
   Here `rule` is the URL of the schema.
2. The rules below in *Document*, *Place*, *Time* and *Addresses*, which no schema can say.
3. The lab's *profile*, for items and collections that declare a `lab:kind`. Items from elsewhere are taken without
   one.

## Commands and functions

| what | checks |
|---|---|
| `terralab catalog validate` | the whole catalog |
| `terralab catalog validate models` | a collection and its items |
| `terralab catalog validate models/flood-net-1` | an item |
| `terralab catalog validate FILE` | JSON or ndjson: a document, an array, a FeatureCollection, a list of collections |
| `terralab catalog validate FOLDER` | all STAC in the folder of a static catalog |
| `… \\| terralab catalog validate -` | standard input |
| `stac terralab validate FILE …` | files, without a lab |

The exit code is 3 where something is not valid; `--json` prints one JSON object. In Python:

```python
from pathlib import Path
from terralab.extensions.schema_store import SchemaStore
from terralab.extensions.validation import check_item

for problem in check_item(item, SchemaStore(Path("schemas"))):
    print(problem.where, problem.rule, problem.message, problem.fix)
```

## Schemas without a network

The core's schemas and the lab's own are in the package. Those of extensions come from the folder that
`TERRALAB_SCHEMAS` names, with an `index.json` of URL → file name; else from a cache in the lab's home folder, which
`TERRALAB_FETCH_SCHEMAS=true` fills from the schemas' own addresses (only from the hosts of STAC, PROJ and GeoJSON: a
document must not send the lab anywhere else). What has no schema there is not checked: `validate` says so, and with
`--strict` it is a problem. STAC 1.0.0 is checked by the schema of 1.1.0, which adds fields and takes none away,
unless the folder has its own.

## 180 degrees

A polygon that crosses 180° is divided there into a MultiPolygon, and in its `bbox` west is greater than east, as RFC
7946 has it. `terralab.extensions.meridian.split_at_180(item)` does both. A polygon that is not divided is refused,
since most tools would find it on the other side of the world.

## Static catalogs

`stac terralab create-item KIND …` and `stac terralab create-collection KIND …` (a plug-in of stactools) write items
and collections of every kind from GeoTIFFs, or from a description in YAML, by the same builders; `--help` of each
lists what it takes. In files, addresses may be relative and links lead to other files.
"""


def rules_page() -> str:
    """Return the page as Markdown."""
    lines = [_HEAD]
    for group, rules in groupby(RULES.values(), key=lambda rule: rule.group):
        lines += [f"## {group}", "", "| rule | says | where it is broken |", "|---|---|---|"]
        lines += [f"| `{rule.code}` | {rule.meaning} | {_capital(rule.fix)}. |" for rule in rules]
        lines.append("")
    return "\n".join(lines)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


if __name__ == "__main__":
    sys.stdout.write(rules_page())
