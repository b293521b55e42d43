"""Pictures and maps that must not change while the code that makes them does.

`recipes/` holds requests as the app wrote them, `pictures/` the pictures they make. `maps/` holds a map of every annotator
that needs no download. `machine.json` describes the machine and the libraries that made these references: there results
must equal them bit for bit, elsewhere within the tolerances in `references.py`. `make.py` holds every call into the app.

`python -m tests.golden` writes all references, `python -m tests.golden NAME …` those of the named recipes and annotators; on
another machine than that of `machine.json` only maps that have no reference yet can be named.
Run it after an intended change, and look at the pictures before the commit. It never writes recipes: they also pin that
requests saved by an earlier version can be read.
"""
