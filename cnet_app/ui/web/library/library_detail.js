/** One picture of the library in full: large, with its recipe in words and all actions; of several what can be done with all. */

import { fill, h } from "../core/dom.js";
import { act, actionsFor, bringBack, downloadAll } from "./pictures.js";

/** The pane; `close` closes the library for what goes on on the stage. */
export function buildDetail(app, { close, grid }) {
  const element = h("aside", { class: "library-detail", "aria-label": "Chosen pictures" });
  let shown = 0;
  const show = async (pictures) => {
    const run = ++shown;
    element.hidden = !pictures.length;
    if (pictures.length > 1) fill(element, several(app, grid(), pictures));
    else if (pictures.length) {
      fill(element, one(app, pictures[0], close));
      const details = await app.server.call("details", { id: pictures[0].id }).catch(() => null);
      if (run === shown && details) fill(element, one(app, { ...pictures[0], ...details }, close));
    }
  };
  show([]);
  return { element, show };
}

function one(app, picture, close) {
  const buttons = picture.deleted
    ? [h("button", { type: "button", class: "primary", onclick: () => app.attempt(() => bringBack(app, [picture.id])) }, "Restore")]
    : actionsFor(1).map((action) => actionButton(app, action, [picture], close));
  return [
    picture.deleted ? null : h("img", { class: "detail-picture", src: picture.url, alt: picture.prompt }),
    h("p", { class: "detail-prompt" }, picture.prompt || "Without a prompt"),
    scoreLines(picture),
    h("div", { class: "detail-actions", role: "group", "aria-label": "Actions" }, buttons),
    recipeList(picture),
  ];
}

const STAYS = ["favourite", "board", "download", "delete"];

function actionButton(app, action, pictures, close) {
  const run = async () => {
    if (!STAYS.includes(action.id)) close();
    await act(app, action, pictures);
  };
  const pressed = action.isOn ? { "aria-pressed": String(pictures.every(action.isOn)) } : {};
  return h("button", { type: "button", title: action.note, dataset: { action: action.id }, onclick: run, ...pressed }, action.title);
}

function scoreLines({ scores }) {
  if (!scores?.length) return null;
  return h("ul", { class: "detail-scores", "aria-label": "Scores" }, scores.map(({ words, reason }) => h("li", {}, words || reason)));
}

function recipeList({ recipe, reason, board }) {
  if (!recipe) return h("p", { class: "quiet-text" }, "Reading the recipe …");
  if (reason) return h("p", { class: "quiet-text" }, reason);
  const rows = board ? [...recipe, ["Board", board]] : recipe;
  return h("dl", { class: "detail-recipe" }, rows.filter(([label]) => label !== "Prompt").map(([label, text]) => [h("dt", {}, label), h("dd", {}, text)]));
}

function several(app, grid, pictures) {
  const ids = pictures.map(({ id }) => id);
  const zip = h("button", { type: "button", dataset: { action: "zip" }, onclick: () => app.attempt(() => downloadAll(app, ids)) }, "Download ZIP");
  const restore = h("button", { type: "button", class: "primary", onclick: () => app.attempt(() => bringBack(app, ids)) }, "Restore");
  const isTrash = pictures[0].deleted;
  return [
    h("h3", {}, `${pictures.length.toLocaleString("en")} pictures chosen`),
    h(
      "div",
      { class: "detail-actions", role: "group", "aria-label": "Actions" },
      isTrash ? restore : [actionsFor(pictures.length).map((action) => actionButton(app, action, pictures, () => {})), zip],
      h("button", { type: "button", class: "quiet", onclick: () => grid.select([]) }, "Choose none"),
    ),
  ];
}
