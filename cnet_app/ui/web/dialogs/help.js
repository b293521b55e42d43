/** Help: how a picture is made, what is sent where, and the keys. */

import { fill, h } from "../core/dom.js";
import { PUBLIC } from "../page/bar.js";
import { nameOf } from "../core/keys.js";

const STEPS = [
  ["A photo.", "Drop, paste, choose or take one anywhere on the page; or draw. Its maps fill the list at the left."],
  ["A control.", "Click a map: it steers the picture. + adds another layer. Without any layer the prompt alone makes the picture."],
  ["A prompt.", "Say what the picture shows. Select words and press Ctrl+Up or Ctrl+Down to give them more or less weight."],
  ["Generate.", "The picture appears on the stage and in the row below it. You can go on working and queue the next one meanwhile."],
  ["Start from picture.", "Repaints a picture, everywhere or where you paint a mask."],
  ["More.", "Models and sampling. Everything off its default is a chip above Generate; ✕ removes it."],
];

/** The short manual. */
export function buildHelp(app) {
  return [
    h(
      "ol",
      { class: "help-steps" },
      STEPS.map(([name, text]) => h("li", {}, h("strong", {}, name), ` ${text}`)),
    ),
    h("p", {}, "Nothing is sent anywhere: photos, prompts and pictures stay on this computer and the server you opened."),
    app.store.state.tables.local ? null : h("p", {}, `${PUBLIC} The one who runs the server can see them.`),
    h("h3", {}, "Keys"),
    buildKeys(app),
  ];
}

/** The table of keys. A press on a key lets the user give another one. */
export function buildKeys(app) {
  const fault = h("p", { class: "warning", role: "alert" });
  const body = h("tbody");
  const show = () =>
    fill(
      body,
      app.keys.list.map((row) => keyRow(app, row, fault, show)),
    );
  const reset = () => {
    for (const { id } of app.keys.list) app.keys.assign(id, "");
    fault.textContent = "";
    show();
  };
  show();
  return [
    h("p", { class: "quiet-text" }, "Press a key below to change it."),
    h("table", { class: "keys" }, body),
    fault,
    h("button", { type: "button", onclick: reset }, "The usual keys again"),
  ];
}

function keyRow(app, { id, title, keys }, fault, show) {
  const listen = () => {
    button.textContent = "Press a key …";
    button.addEventListener("keydown", take);
    button.addEventListener("blur", show, { once: true });
  };
  const take = (event) => {
    if (["Control", "Shift", "Alt", "Meta", "Tab"].includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    fault.textContent = app.keys.assign(id, nameOf(event));
    show();
    document.getElementById(button.id)?.focus();
  };
  const button = h(
    "button",
    { type: "button", id: `key-${id}`, "aria-label": `${title}: ${keys}. Change the key`, onclick: listen },
    h("kbd", {}, keys),
  );
  return h("tr", {}, h("th", { scope: "row" }, title), h("td", {}, button));
}
