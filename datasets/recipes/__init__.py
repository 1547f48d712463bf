"""Feature recipes: from imagery of the catalog to imagery that is computed from it, the same at any time.

A recipe says which bands it needs, what it computes of a block of rows, and by which formula. `derive` streams the
blocks, so memory does not grow with the scene.
"""
