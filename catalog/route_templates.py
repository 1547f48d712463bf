"""Which route answered a request, as its template: `/stac/collections/{collection_id}/items`, never the path itself.

A path holds names that users chose and is different for every object; a template tells as much to who watches the lab,
and there are few of them.
"""

import re

from starlette.types import Scope

NONE = "(none)"
"""Template of what no route answered."""
# Reads that are answered before anybody looks at the routes (`fast_reads`), and the templates of those routes.
_FAST = re.compile(r"^/stac(?:(/search)|(/collections)/[^/]+(/items)(/[^/]+)?)$")


def route_template(scope: Scope, root: str) -> str:
    """Return the template of the route that answered.

    Args:
        scope: of the request, after the answer: routing has noted in it what it found.
        root: the scope's `root_path` before routing, which adds to it the paths of mounted apps.
    """
    mounted = str(scope.get("root_path", ""))[len(root) :]
    path = getattr(scope.get("route"), "path", None)
    if isinstance(path, str):
        return mounted + path
    if found := _FAST.match(scope["path"].removeprefix(root)):
        search, collections, items, item = found.groups()
        return "/stac" + (search or f"{collections}/{{collection_id}}{items}{'/{item_id}' if item else ''}")
    return f"{mounted}/{NONE}" if mounted else NONE
