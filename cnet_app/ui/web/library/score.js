/** Whether the picture obeyed: the words are in the caption, and "Where?" shows the places on the stage. */

import { fill, h } from "../core/dom.js";
import { bitmapOf } from "../core/maps.js";

/** Buttons that show where the shown picture followed each of its layers, and the legend while one does. */
export function buildScore(app) {
  const element = h("span", { class: "caption-score" });
  app.store.on(
    ({ view, shown, preview, scoreOverlay }) => [["result", "compare", "score"].includes(view) && !preview, shown?.id, shown?.scores, scoreOverlay, view],
    ([isVisible, id, scores]) => {
      const { shown, scoreOverlay, view } = app.store.state;
      if (view === "score" && scoreOverlay?.id !== id) app.store.patch({ view: "result", scoreOverlay: null });
      element.hidden = !isVisible || !scores?.length;
      if (!element.hidden) fill(element, buttonsOf(app, shown), view === "score" && scoreOverlay && legend(scoreOverlay));
    },
  );
  return element;
}

function buttonsOf(app, { id, scores }) {
  const measured = scores.map((score, index) => ({ ...score, index })).filter(({ value }) => value !== null);
  if (!measured.length) return h("span", { title: scores.map(({ reason }) => reason).join(" ") }, "not measured");
  return measured.map(({ condition, words, index }) => {
    const { view, scoreOverlay } = app.store.state;
    const isOn = view === "score" && scoreOverlay?.index === index;
    const title = measured.length > 1 ? `Where: ${titleOf(app, condition)}?` : "Where?";
    return h("button", { type: "button", class: "quiet where", "aria-pressed": String(isOn), title: words, onclick: () => toggle(app, id, index, isOn) }, title);
  });
}

function titleOf(app, condition) {
  return app.store.state.tables.conditions.find(({ id }) => id === condition)?.title ?? condition;
}

function toggle(app, id, index, isOn) {
  return app.attempt(async () => {
    if (isOn) {
      app.show("result");
      return;
    }
    const { path, legend: rows } = await app.server.call("overlay", { id, index });
    const bitmap = await bitmapOf(app.server.fileUrl(path));
    if (app.store.state.shown?.id === id) app.store.patch({ scoreOverlay: { id, index, bitmap, legend: rows }, view: "score" });
  });
}

function legend({ legend: rows }) {
  return h("ul", { class: "legend", "aria-label": "Colours" }, rows.map(({ name, colour }) => h("li", {}, h("span", { class: "swatch", style: { background: `rgb(${colour.join(" ")})` } }), name)));
}
