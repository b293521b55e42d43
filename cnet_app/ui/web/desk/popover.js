/** A button that opens a small panel next to it; Esc or a click elsewhere closes it, and the focus returns. */

import { h } from "../core/dom.js";

const GAP = 4; // px between button and panel
const MARGIN = 8; // px to the edge of the window

/** The button and its panel. `onopen` brings the panel up to date before it is placed. */
export function withPopover(button, props, content, onopen) {
  const panel = h("div", { role: "group", ...props, class: `popover ${props.class ?? ""}`, popover: "auto" }, content);
  button.setAttribute("aria-expanded", "false");
  button.popoverTargetElement = panel;
  const close = (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault(); // else a key of the page would take it
    event.stopPropagation();
    panel.hidePopover();
  };
  panel.addEventListener("beforetoggle", (event) => event.newState === "open" && onopen?.());
  panel.addEventListener("toggle", (event) => {
    const isOpen = event.newState === "open";
    button.setAttribute("aria-expanded", String(isOpen));
    if (isOpen) place(panel, button);
    document[isOpen ? "addEventListener" : "removeEventListener"]("keydown", close, { capture: true });
  });
  return [button, panel];
}

function place(panel, button) {
  const { left, top, bottom } = button.getBoundingClientRect();
  const { width, height } = panel.getBoundingClientRect();
  const isBelow = bottom + GAP + height <= innerHeight - MARGIN || top < innerHeight - bottom;
  const y = isBelow ? bottom + GAP : top - GAP - height;
  panel.style.left = `${Math.max(MARGIN, Math.min(left, innerWidth - width - MARGIN))}px`;
  panel.style.top = `${Math.max(MARGIN, Math.min(y, innerHeight - height - MARGIN))}px`;
}
