/** Settings from a picture: of ours all, so that Generate makes it again; of another program's what could be read. */

import { open } from "../dialogs/boards.js";
import { h } from "../core/dom.js";
import { emptyDraft, newLayer } from "../core/draft.js";
import { addLayer } from "../layers/layer_actions.js";
import { keepPicture, takePhoto } from "../core/photo.js";
import { Refusal } from "../core/server.js";
import { startFrom } from "../desk/start_from.js";

const PARTS = [
  { part: "all", title: "Use all settings", note: "Generate makes the same picture again", takes: ["prompt", "count", "size", "seed", "settings", "layers", "start"] },
  { part: "remix", title: "Remix", note: "All settings but the seed", takes: ["prompt", "count", "size", "settings", "layers", "start"] },
  { part: "seed", title: "Use the seed", takes: ["seed"] },
  { part: "prompt", title: "Use the prompt", takes: ["prompt"] },
  { part: "control", title: "Use the control layers", takes: ["layers"] },
];

/** What can be taken from a recipe. */
export function restoreParts() {
  return PARTS;
}

/** Take a part of the recipe of a finished picture into the draft. */
export async function restorePicture(app, picture, part) {
  await restore(app, await app.server.call("read_recipe", { id: picture.id }), part);
}

/** Take a part of a recipe, as the call read_recipe answers it, into the draft: one step of undo. */
async function restore(app, recipe, part) {
  const { takes } = PARTS.find((row) => row.part === part);
  const found = Object.fromEntries(Object.entries(recipe.draft).filter(([name]) => takes.includes(name)));
  if (recipe.partial) {
    delete found.layers; // such a file holds no maps
    delete found.start;
  }
  const kept = await keepFiles(app, found);
  app.drafts.edit((draft) => ({ ...changesOf(app, draft, kept, recipe, part), restored: leftOut(recipe, takes) }));
}

function changesOf(app, draft, found, recipe, part) {
  const changes = { ...found };
  if (found.layers) {
    changes.layers = found.layers.map(({ condition, ...values }) => newLayer(condition, values));
    const [first] = changes.layers;
    changes.open = first?.id ?? null;
    changes.condition = first?.condition ?? draft.condition;
  }
  if (part === "remix") changes.seed = emptyDraft().seed;
  if (part === "prompt") changes.settings = withNegative(draft.settings, recipe.draft.settings);
  return changes;
}

function withNegative({ negative_prompt: _, ...settings }, { negative_prompt: negative }) {
  return negative ? { ...settings, negative_prompt: negative } : settings;
}

/** What could not be taken; of no interest where only the seed or the prompt was wanted. */
function leftOut({ program, partial, notes }, takes) {
  return notes.length && takes.includes("layers") ? { program, partial, notes } : null;
}

/** A copy of a value in which every picture that is a file of the server has become one of this browser. */
async function keepFiles(app, value) {
  if (Array.isArray(value)) return Promise.all(value.map((part) => keepFiles(app, part)));
  if (!value || typeof value !== "object") return value;
  if (typeof value.file === "string") {
    const { file, ...about } = value;
    const response = await fetch(app.server.fileUrl(file));
    if (!response.ok) throw new Refusal("A picture of this recipe could not be fetched; try again.");
    return { ...about, key: await app.blobs.put(await response.blob()) };
  }
  const pairs = Object.entries(value).map(async ([name, part]) => [name, await keepFiles(app, part)]);
  return Object.fromEntries(await Promise.all(pairs));
}

/** Take a file that was dropped, pasted or chosen: a recipe is asked about, people go to the pose layer, all else is the photo. */
export async function takeAnyFile(app, file) {
  if (/json$/i.test(file.type) || /\.json$/i.test(file.name)) {
    await app.attempt(() => takeJson(app, file));
    return;
  }
  const recipe = await readRecipe(app, file);
  if (!recipe?.program) {
    await takePhoto(app, file);
    return;
  }
  await app.attempt(() => useAs(app, file, recipe));
}

/** A file that cannot be read at all is refused as a photo, with a sentence of its own. */
async function readRecipe(app, file) {
  try {
    if (file.size > app.store.state.tables.max_upload_mb * 1e6) return null;
    const path = await app.server.upload(file, file.name || "picture.png");
    return await app.server.call("read_recipe", { path, base: app.store.state.choices.base.id });
  } catch {
    return null;
  }
}

async function useAs(app, file, recipe) {
  const use = await ask(app, file, recipe);
  if (use === "photo") await takePhoto(app, file);
  else if (use === "start") startFrom(app, await keepPicture(app, file));
  else if (use) await restore(app, recipe, use);
}

/** Ask what a picture with a recipe is for; Enter makes it the photo. */
async function ask(app, file, { program, draft, partial }) {
  const url = URL.createObjectURL(file);
  const parts = PARTS.filter(({ takes }) => !partial || takes.some((name) => name !== "layers"));
  const dialog = h(
    "dialog",
    { class: "dialog ask", "aria-labelledby": "ask-recipe" },
    h(
      "form",
      { method: "dialog" },
      h("h2", { id: "ask-recipe" }, "This picture brings its settings"),
      h(
        "div",
        { class: "ask-picture" },
        h("img", { src: url, alt: "", height: "96" }),
        h("p", {}, h("b", {}, `Made by ${program}`), h("br"), draft.prompt || "Without a prompt"),
      ),
      h("div", { class: "ask-buttons" }, h("button", { class: "primary", value: "photo", autofocus: true }, "Use as photo"), h("button", { value: "start" }, "Start from it")),
      h("h3", {}, "Restore its settings"),
      h("div", { class: "ask-buttons" }, parts.map(({ part, title, note }) => h("button", { value: part, title: note }, title))),
      h("div", { class: "ask-buttons" }, h("button", { class: "quiet", value: "" }, "Cancel")),
    ),
  );
  const use = await open(app, dialog);
  URL.revokeObjectURL(url);
  return use;
}

/** A JSON file is a recipe, or people for the pose layer. */
async function takeJson(app, file) {
  const text = await file.text();
  if (isRecipe(text)) {
    await restore(app, await app.server.call("read_recipe", { text }), "all");
    return;
  }
  await app.fitted();
  const { frame } = app.store.state;
  const { pose, notes } = await app.server.call("pose", { text, name: file.name, frame });
  notes.forEach((note) => app.say(note));
  const layer = app.drafts.now.layers.find(({ condition }) => condition === "openpose");
  if (layer) app.drafts.editLayer(layer.id, { source: "pose", pose });
  else addLayer(app, "openpose", { source: "pose", pose });
  app.show("map");
}

function isRecipe(text) {
  try {
    const content = JSON.parse(text);
    return Boolean(content && !Array.isArray(content) && (content.recipe || content.kind === "generation"));
  } catch {
    return false;
  }
}
