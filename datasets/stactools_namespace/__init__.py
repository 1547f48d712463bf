"""`stac terralab …`: stactools finds plug-ins as modules of its own namespace, so this one is packaged as one."""

from terralab.datasets.stactools_plugin import register_plugin

__all__ = ["register_plugin"]
