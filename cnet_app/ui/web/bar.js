/** The bar above the page: name, base model, queue, theme, help. */

import { h } from "./dom.js";

export function buildBar(app) {
  const base = h("span", { class: "bar-base" });
  app.store.on(({ choices }) => choices?.base, (one) => one && (base.textContent = `${one.title} (${one.defaults.size} px)`));
  return h("header", { class: "bar" }, h("h1", {}, "ControlNet Studio"), base);
}
