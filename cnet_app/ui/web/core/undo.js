/** A line at the page's foot that says what was done, with a button that undoes it. */

import { h } from "./dom.js";

const SHOWN_FOR = 10_000; // ms

/** Show `text` and Undo for a while; a newer offer takes its place. */
export function offerUndo(app, text, undo) {
  document.querySelector(".undo-offer")?.remove();
  const close = () => {
    clearTimeout(timer);
    offer.remove();
  };
  const take = () => {
    close();
    undo();
  };
  const offer = h(
    "div",
    { class: "undo-offer", role: "status" },
    h("span", {}, text),
    h("button", { type: "button", class: "undo", onclick: take }, "Undo"),
  );
  const timer = setTimeout(close, SHOWN_FOR);
  // A modal dialog makes everything outside of it inert.
  (document.querySelector("dialog:modal") ?? app.root).append(offer);
}
