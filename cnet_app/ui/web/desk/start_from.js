/** "Start from": image to image and inpaint. A picture that is painted again, everywhere or where a mask is white. */

import { fill, h, icon, iconButton } from "../core/dom.js";
import { liveField, thumbnail } from "../core/live.js";
import { chooseFile, keepPicture } from "../core/photo.js";
import { addLayer } from "../layers/layer_actions.js";

const OPEN = "start";
const NEW = { picture: null, mask: null, strength: 0.6, area: "picture", padding: null };

/** A button while there is no start picture, else its card. */
export function buildStart(app) {
  const element = h("section", { class: "start", "aria-label": "Start from" });
  app.store.on(
    ({ draft, frame }) => [
      draft.start && JSON.stringify({ ...draft.start, strength: 0, padding: 0 }),
      draft.photo,
      draft.open === OPEN,
      hasInpaint(draft),
      frame,
    ],
    () => fill(element, app.store.state.draft.start ? card(app) : offer(app)),
  );
  return element;
}

/** Start from the photo, or from another picture, {key, width, height, name}. */
export function startFrom(app, picture = null) {
  app.drafts.edit({ start: { ...NEW, picture }, open: OPEN });
}

/** What a chip says of a draft's start picture; empty where it has none. */
export function startText({ start }) {
  return start ? `from a picture${start.mask ? " · masked" : ""}` : "";
}

function offer(app) {
  return h("button", { type: "button", class: "quiet add-start", onclick: () => startFrom(app) }, icon("add"), "Start from picture");
}

function edit(app, changes, key = null) {
  app.drafts.edit(({ start }) => start && { start: { ...start, ...changes } }, key);
}

function card(app) {
  const { draft } = app.store.state;
  const isOpen = draft.open === OPEN;
  const held = draft.start.picture ?? draft.photo;
  const toggle = () => app.drafts.view({ open: isOpen ? null : OPEN });
  const what = draft.start.picture?.name ?? "the photo";
  const words = held ? `Start from ${what}${draft.start.mask ? " · masked" : ""}` : "No start picture yet";
  const head = h(
    "div",
    { class: "start-head" },
    h(
      "button",
      { type: "button", class: "quiet start-title", "aria-expanded": String(isOpen), onclick: toggle },
      held ? thumbnail(app, held, "") : h("span", { class: "thumbnail" }),
      h("span", { class: "start-words", title: words }, words),
      icon(isOpen ? "up" : "down"),
    ),
    iconButton("cancel", "Remove the start picture", () => app.drafts.edit({ start: null, open: isOpen ? null : draft.open })),
  );
  return h("div", { class: "start-card" }, head, isOpen && body(app));
}

function body(app) {
  const { tables, draft } = app.store.state;
  const declared = tables.limits.request;
  const strength = liveField(
    app,
    "strength",
    declared.strength,
    (state) => ({ value: state.draft.start?.strength ?? NEW.strength }),
    (value) => edit(app, { strength: value }, "strength"),
    tables.labels.strength,
  );
  return h(
    "div",
    { class: "start-body" },
    pictureRow(app),
    strength,
    maskRow(app),
    draft.start.mask && [areaRow(app, declared), hint(app)],
  );
}

function pictureRow(app) {
  const { draft } = app.store.state;
  const choose = () => chosen(app, (picture) => edit(app, { picture }));
  return h(
    "div",
    { class: "row", role: "group", "aria-label": "Picture" },
    h("span", { class: "row-label" }, "Picture"),
    h("button", { type: "button", "aria-pressed": String(!draft.start.picture), onclick: () => edit(app, { picture: null }) }, "The photo"),
    h("button", { type: "button", "aria-pressed": String(Boolean(draft.start.picture)), onclick: choose }, "Other …"),
  );
}

function maskRow(app) {
  const { mask, picture } = app.store.state.draft.start;
  const paint = () => {
    app.show("photo");
    app.tools?.take("startmask");
  };
  return h(
    "div",
    { class: "row", role: "group", "aria-label": "Mask" },
    h("span", { class: "row-label", title: "White is repainted; without a mask the whole picture is" }, "Mask"),
    h(
      "button",
      { type: "button", onclick: paint, title: picture ? "Paint on the stage, at the picture's place" : "Paint on the stage" },
      "Paint",
    ),
    h("button", { type: "button", onclick: () => chosen(app, (held) => edit(app, { mask: held })) }, "Load …"),
    mask && thumbnail(app, mask, "The mask: white is repainted"),
    mask && iconButton("cancel", "Remove the mask", () => edit(app, { mask: null, area: "picture" })),
  );
}

/** Which part is painted: the whole picture at the frame's size, or the part around the mask at the picture's full size. */
function areaRow(app, declared) {
  const { area } = app.store.state.draft.start;
  const choice = (id, label, title) =>
    h("button", { type: "button", title, "aria-pressed": String(area === id), onclick: () => edit(app, { area: id }) }, label);
  const buttons = h(
    "div",
    { class: "segments", role: "group", "aria-label": "Area" },
    choice("picture", "Whole picture", "The whole picture is made at the chosen size"),
    choice("mask", "Only masked, full size", "Only the part around the mask is made, and put back into the full-size picture"),
  );
  const read = (state) => ({ value: state.draft.start?.padding });
  const write = (padding) => edit(app, { padding }, "padding");
  return [buttons, area === "mask" && liveField(app, "inpaint_padding", declared.inpaint_padding, read, write, "Padding")];
}

/** The condition that fills a mask better than image to image alone. */
function hint(app) {
  const { draft, choices } = app.store.state;
  if (hasInpaint(draft) || !choices.conditions.includes("inpaint")) return null;
  return h(
    "button",
    { type: "button", class: "quiet hint", onclick: () => addLayer(app, "inpaint") },
    icon("add"),
    "Add Inpaint control, so that it fits in",
  );
}

function hasInpaint({ layers }) {
  return layers.some(({ condition, enabled }) => condition === "inpaint" && enabled);
}

function chosen(app, use) {
  return app.attempt(async () => {
    const file = await chooseFile();
    if (file) use(await keepPicture(app, file));
  });
}
