/** Controls that the base model refuses: they are disabled, and a button beside them opens the server's sentence. */

import { fill, h } from "./dom.js";
import { randomId } from "./server.js";

/** The sentence with which the base refuses a field, or "". */
export function refusalOf({ choices }, field) {
  return choices.base.refused.fields[field] ?? "";
}

/**
 * The reason why controls are off, for pointer, keys and screen readers: {button, text, show}.
 *
 * `show(reasons, controls, isSet)` disables the controls where there are reasons. Where a value is set they stay, so that it
 * can be removed, and the reasons are open. `isWhole` is false for lists, of which
 * single values are refused.
 */
export function whyOff(label) {
  const text = h("div", { class: "help-text why", id: `why-${randomId(4)}`, hidden: true });
  const toggle = () => open(text.hidden);
  const names = { "aria-controls": text.id };
  const button = h("button", { type: "button", class: "help-button why-button", hidden: true, ...names, onclick: toggle }, "?");
  const open = (isOpen) => {
    text.hidden = !isOpen;
    button.setAttribute("aria-expanded", String(isOpen));
  };
  let said = "";
  const show = (reasons, controls, isSet = false, isWhole = true) => {
    const given = [reasons].flat().filter(Boolean);
    button.hidden = !given.length;
    button.setAttribute("aria-label", given.length ? `Why is it off: ${label}` : "");
    button.title = given.join("\n");
    text.classList.toggle("fault", isSet);
    for (const control of controls) mark(control, given.length ? text.id : "", isWhole && given.length > 0 && !isSet);
    const now = given.join("\n") + isSet;
    if (now === said) return;
    said = now;
    fill(text, given.map((reason) => h("p", {}, reason)));
    open(given.length > 0 && isSet);
  };
  return { button, text, show };
}

/** A control that has the focus is disabled when it loses it: the focus would go to the page's beginning. */
function mark(control, reason, isOff) {
  if (reason) control.setAttribute("aria-describedby", reason);
  else control.removeAttribute("aria-describedby");
  control.dataset.off = String(isOff);
  const apply = () => {
    const isNow = control.dataset.off === "true";
    if ("disabled" in control) control.disabled = isNow;
    else control.inert = isNow;
    control.classList.toggle("is-off", isNow);
  };
  if (isOff && control.contains(document.activeElement)) control.addEventListener("focusout", apply, { once: true });
  else apply();
}

/** The options of a list, of which the base refuses some: they stay in it, disabled. `refused` is by id. */
export function optionsWith(rows, refused, base) {
  return rows.map(({ id, title }) => {
    const reason = refused[id];
    const words = reason ? `${title} · not with ${base}` : title;
    return h("option", { value: id, disabled: Boolean(reason), title: reason || null }, words);
  });
}
