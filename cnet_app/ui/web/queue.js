/** The queue: what runs and waits. */

import { h } from "./dom.js";

export function buildQueue(app) {
  return h("span", { class: "queue" });
}
