/** Help: how a picture is made, what is sent where, and the keys. */

import { h } from "./dom.js";

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
    h("ol", { class: "help-steps" }, STEPS.map(([name, text]) => h("li", {}, h("strong", {}, name), ` ${text}`))),
    h("p", {}, "Nothing is sent anywhere: photos, prompts and pictures stay on this computer and the server you opened."),
    h("h3", {}, "Keys"),
    buildKeys(app),
  ];
}

/** The table of keys, as keys.js lists them: {keys, title}. */
export function buildKeys(app) {
  const list = app.keys?.list ?? [];
  if (!list.length) return h("p", {}, "Tab moves between the controls, arrow keys move within a list, Esc closes what is open.");
  return h("table", { class: "keys" }, h("tbody", {}, list.map(({ keys, title }) => h("tr", {}, h("th", { scope: "row" }, h("kbd", {}, keys)), h("td", {}, title)))));
}
