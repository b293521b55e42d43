"""Recipes of other programs: what their pictures hold, in this app's terms.

`reading.read_picture` reads a picture of ours or of another program. `texts` takes the texts out of the file within bounds,
`readers` lists one module a program, each a function from these texts to a `ForeignRecipe`, and `matching` and `imported`
turn its names of models into those of this machine and its numbers into a request. What cannot be taken is listed by name.
Everything read is data: nothing of it is run, and no name of it is opened as a file.
"""
