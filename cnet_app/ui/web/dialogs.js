/** Questions and longer views over the page. */

import { h } from "./dom.js";

export function buildDialogs(app) {
  return h("div", { class: "dialogs" });
}
