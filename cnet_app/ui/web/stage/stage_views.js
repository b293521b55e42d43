/** What surrounds the stage's canvas: the choice of a view, tools, zoom, the line below, and what an empty stage offers. */

import { h, icon, iconButton } from "../core/dom.js";
import { chooseFile, takePhoto } from "../core/photo.js";
import { buildToolButtons } from "./tools.js";

const VIEWS = [
  { id: "photo", title: "Photo", needs: ({ draft }) => draft.photo },
  { id: "map", title: "Map", needs: ({ draft, maps }) => maps[draft.open]?.bitmap },
  { id: "overlay", title: "Overlay", needs: ({ draft, maps }) => draft.photo && maps[draft.open]?.bitmap },
  { id: "result", title: "Result", needs: ({ shown, preview }) => shown || preview },
  { id: "compare", title: "Compare", needs: ({ shown, draft }) => shown && (shown.kind === "upscale" || draft.photo || draft.start || draft.layers.length) },
];

const PICTURES = ["result", "compare", "score"];

export function buildStageBar(app) {
  const views = h("div", { class: "segments", role: "group", "aria-label": "View" });
  app.store.on(
    ({ view, draft, maps, shown, preview }) => [view, draft.photo, draft.open, draft.layers, maps, shown, preview],
    () => {
      const { state } = app.store;
      views.replaceChildren(
        ...VIEWS.map(({ id, title, needs }) =>
          h("button", { type: "button", id: `view-${id}`, "aria-pressed": String(state.view === id), disabled: !needs(state), onclick: () => app.show(id) }, title),
        ),
      );
    },
  );
  const undo = iconButton("undo", "Undo (Ctrl+Z)", () => app.drafts.undo());
  const redo = iconButton("redo", "Redo (Ctrl+Y)", () => app.drafts.redo());
  app.store.on(({ canUndo, canRedo }) => [canUndo, canRedo], ([canUndo, canRedo]) => {
    undo.disabled = !canUndo;
    redo.disabled = !canRedo;
  });
  const photo = h("button", { type: "button", class: "quiet", id: "choose-photo", onclick: () => choosePhoto(app) }, icon("image"), "Photo…");
  const zoom = h(
    "div",
    { class: "stage-zoom", role: "group", "aria-label": "Zoom and undo" },
    undo,
    redo,
    iconButton("fit", "Show the whole picture (0)", () => app.stage.fit()),
  );
  return [photo, views, buildToolButtons(app), zoom];
}

/** Let the user choose a photo for all tabs. */
async function choosePhoto(app, capture) {
  const file = await chooseFile("image/*", capture);
  if (file) await takePhoto(app, file);
}

export function buildCaption(app) {
  const about = h("span", { class: "caption-about" });
  const hint = h("span", { class: "caption-hint" });
  app.store.on(
    ({ view, frame, draft, shown, maps, preview, running }) => [view, frame, draft.photo, draft.open, shown, maps, preview, running],
    () => about.replaceChildren(...captionOf(app.store.state)),
  );
  app.store.on(({ tool, view }) => [tool, view], ([, view]) => {
    // A picture's own line has its actions, and no room for more.
    const text = PICTURES.includes(view) ? "" : app.stage.tool?.hint ?? "";
    Object.assign(hint, { textContent: text, title: text });
  });
  return [about, hint];
}

function captionOf(state) {
  const { view, frame, draft, shown, preview, running, maps } = state;
  if (!frame) return [];
  const size = `${frame.width} × ${frame.height} px`;
  if (view === "photo" && draft.photo) return [`Photo ${draft.photo.width} × ${draft.photo.height} px → picture ${size}${fitWords(draft.photo, frame)}`];
  if (view === "map") return [mapWords(maps[draft.open], size)];
  if ((view === "result" || view === "compare") && preview && running) return [`Step ${running.step} of ${running.steps}`];
  if (view === "score" && shown) return [shown.words];
  if ((view === "result" || view === "compare") && shown) return [resultWords(shown)];
  return [`Picture ${size}`];
}

function mapWords(map, size) {
  if (map?.isBusy) return "Making the map …";
  if (map?.missing) return "No map: its preprocessor needs a download";
  return map?.error ? `No map: ${map.error}` : `Map ${size}`;
}

function resultWords({ width, height, seed, words }) {
  return [width && `${width} × ${height} px`, seed !== null && seed !== undefined && `seed ${seed}`, words].filter(Boolean).join(" · ");
}

function fitWords(photo, frame) {
  const isAlike = Math.abs(photo.width * frame.height - photo.height * frame.width) <= 8 * Math.max(photo.width, photo.height);
  return isAlike ? "" : { crop: ", cropped", pad: ", padded", stretch: ", stretched" }[frame.fit];
}

/** What an empty stage offers: a photo, a drawing, an example. */
export function fillEmpty(app, element) {
  const { tables } = app.store.state;
  const example = ({ id, title, example_prompt: prompt }) =>
    h(
      "button",
      { type: "button", class: "example", id: `example-${id}`, onclick: () => app.playExample(id), "aria-label": `Try the example: ${title}, “${prompt}”` },
      ...["photo", "map", "picture"].map((part) => h("img", { src: `studio/examples/${id}-${part}.webp`, alt: "", width: "96", height: "96", loading: "lazy" })),
      h("span", {}, h("b", {}, title), ` ${prompt}`),
    );
  element.replaceChildren(
    h("h2", {}, "Drop or paste a photo"),
    h(
      "div",
      { class: "empty-actions" },
      h("button", { type: "button", class: "primary", onclick: () => choosePhoto(app) }, icon("image"), "Choose a photo"),
      h("button", { type: "button", onclick: () => choosePhoto(app, "environment") }, "Take one"),
      h("button", { type: "button", onclick: () => app.startDrawing() }, icon("brush"), "Draw a scribble"),
    ),
    h("p", {}, "or begin with an example: photo, map, picture"),
    h("div", { class: "examples" }, tables.conditions.filter(({ id }) => tables.first_view.includes(id)).map(example)),
  );
  app.store.on(
    ({ draft, view, tool, shown, preview }) => !draft.photo && !tool && !draft.layers.some(hasOwn) && !(view === "result" && (shown || preview)),
    (isEmpty) => (element.hidden = !isEmpty),
  );
}

/** Whether a layer brings what its map is made from. */
function hasOwn(layer) {
  return Boolean(layer.picture || layer.drawing || layer.pose || layer.classes);
}
