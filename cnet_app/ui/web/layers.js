/** Control layers: a card each, of which one is open. */

import { h } from "./dom.js";

export function buildLayers(app) {
  const list = h("ul", { class: "layers", "aria-label": "Control layers" });
  return list;
}
