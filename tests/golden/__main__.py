"""Writes the lists that have changed, and says which."""

import autoencoders
from tests import golden

names = autoencoders.list_models()
for name in names:
    if not golden.path(name).exists() or golden.read(name) != golden.lists(name):
        golden.write(name)
        print(f"{name}: written anew")
for file in sorted(golden.FOLDER.glob("*.json")):
    if file.stem not in names:
        file.unlink()
        print(f"{file.stem}: no such model any more")
