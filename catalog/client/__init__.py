"""The Python client: a lab as seen from a notebook or a program, over HTTP alone.

from terralab.catalog import Lab

lab = Lab()
for item in lab.search(collections=["models"], filter="lab:kind = 'model'"):
print(item.id, lab.lineage(item))
"""

from terralab.catalog.client.lab import Lab

__all__ = ["Lab"]
