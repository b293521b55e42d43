/** A menu below a button: arrow keys move in it, Escape or a click elsewhere closes it. */

import { h } from "../core/dom.js";

const MARGIN = 8; // px to the window's edge

/** Make a button open and close a menu of `items()`: {title, note, isDisabled, act}. */
export function menuButton(button, label, items) {
  let wasOpen = false; // when the pointer went down, which closes an open menu
  button.setAttribute("aria-haspopup", "menu");
  button.setAttribute("aria-expanded", "false");
  button.addEventListener("pointerdown", () => (wasOpen = button.getAttribute("aria-expanded") === "true"));
  button.addEventListener("click", () => {
    if (!wasOpen) openMenu(button, label, items());
    wasOpen = false;
  });
  return button;
}

function openMenu(button, label, items) {
  const menu = h("div", { class: "menu", role: "menu", "aria-label": label, popover: "auto", onkeydown: step });
  menu.append(...items.map((item) => menuItem(item, menu, button)));
  menu.addEventListener("beforetoggle", ({ newState }) => button.setAttribute("aria-expanded", String(newState === "open")));
  menu.addEventListener("toggle", ({ newState }) => newState === "closed" && menu.remove());
  button.closest(".studio").append(menu);
  menu.showPopover();
  place(menu, button.getBoundingClientRect());
  focusItem(menu.firstElementChild);
}

/** One item alone is in the order of the Tab key. */
function focusItem(item) {
  for (const other of item?.parentElement.children ?? []) other.tabIndex = other === item ? 0 : -1;
  item?.focus();
}

function menuItem({ title, note, isDisabled, act }, menu, button) {
  const choose = () => {
    if (isDisabled) return;
    menu.hidePopover();
    button.focus();
    act();
  };
  return h(
    "button",
    { type: "button", role: "menuitem", tabindex: "-1", "aria-disabled": isDisabled ? "true" : null, onclick: choose },
    h("span", {}, title),
    note ? h("small", {}, note) : null,
  );
}

/** Below the button where there is room, else above it; never outside the window. */
function place(menu, { left, right, top, bottom }) {
  const { width, height } = menu.getBoundingClientRect();
  const below = bottom + height + MARGIN <= innerHeight;
  menu.style.left = `${Math.max(MARGIN, Math.min(left, right - width, innerWidth - width - MARGIN))}px`;
  menu.style.top = `${Math.max(MARGIN, below ? bottom + 4 : Math.min(top - height - 4, innerHeight - height - MARGIN))}px`;
}

/** Arrow keys, Home and End; a letter goes to the next item that begins with it. */
function step(event) {
  const items = [...event.currentTarget.children];
  const now = items.indexOf(document.activeElement);
  const last = items.length - 1;
  let next = { ArrowDown: now + 1, ArrowUp: now - 1, Home: 0, End: last }[event.key];
  if (event.key === "Tab" || event.key === "Escape") event.currentTarget.hidePopover();
  if (event.key === "Escape") {
    event.preventDefault();
    event.stopPropagation();
  }
  if (next === undefined && event.key.length === 1 && !event.ctrlKey && !event.metaKey && event.key !== " ") {
    const ordered = [...items.slice(now + 1), ...items.slice(0, now + 1)];
    next = items.indexOf(ordered.find((item) => item.textContent.toLowerCase().startsWith(event.key.toLowerCase())));
    if (next < 0) return;
  }
  if (next === undefined) return;
  event.preventDefault();
  event.stopPropagation();
  focusItem(items[(next + items.length) % items.length]);
}
