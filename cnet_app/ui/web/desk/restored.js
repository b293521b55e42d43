/** What could not be taken from a recipe that was restored: a line each, until it is dismissed. */

import { fill, h, iconButton } from "../core/dom.js";

/** The list; hidden while all was taken. */
export function buildRestored(app) {
  const element = h("div", { class: "restored", role: "status" });
  app.store.on(
    ({ draft }) => draft.restored,
    (restored) => {
      element.hidden = !restored;
      if (restored) fill(element, wordsOf(restored), iconButton("cancel", "Dismiss", () => app.drafts.view({ restored: null })));
    },
  );
  return element;
}

function wordsOf({ program, partial, notes }) {
  const heading = partial ? `From ${program}, but not taken:` : "Restored, with a difference:";
  return h(
    "div",
    {},
    h("p", {}, heading),
    h(
      "ul",
      {},
      notes.map((text) => h("li", {}, text)),
    ),
  );
}
