"""Write the references again: see the package's docstring."""

from __future__ import annotations

import json
import sys

from tests.golden import make, references


def main(names: list[str]) -> None:
    """Write the references of these recipes and annotators, or all of them and the machine's description."""
    recipes, annotators = references.recipe_names(), make.available_annotators()
    if unknown := sorted(set(names).difference(recipes, annotators)):
        sys.exit(f"Unknown: {', '.join(unknown)}. Known are: {', '.join([*recipes, *annotators])}.")
    known = [name for name in names if name in recipes or (references.MAPS / f"{name}.png").exists()]
    if known and not references.is_same_machine():
        sys.exit(
            f"{references.MACHINE.name} describes another machine, so that {', '.join(known)} cannot be written again here; "
            "name maps without a reference alone, or nothing, to write all references here."
        )
    with make.one_cpu_thread():
        if not names:
            references.save(references.SCENE, make.make_scene(references.SCENE_SEED))
        for name in [id for id in recipes if id in names or not names]:
            for index, picture in enumerate(make.make_pictures(references.load_recipe(name))):
                references.save(references.picture_path(name, index), picture)
        for id in [id for id in annotators if id in names or not names]:
            source = references.source_image(make.map_kind(id))
            references.save(references.MAPS / f"{id}.png", make.make_map(id, source))
    if not names:
        references.MACHINE.write_text(json.dumps(references.machine(), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
