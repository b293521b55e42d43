/** The words that the demo model understands: chips that build a prompt of them, and the words of the prompt that it does not know. */

import { fill, h } from "../core/dom.js";
import { withPopover } from "./popover.js";

const GROUPS = [
  ["starts", "style"],
  ["palettes", "colours"],
  ["things", "things"],
  ["skies", "sky"],
];
const NAMED = 5; // unknown words that are named
const SYNTAX = /[()[\]{}]/;

/** A line below the prompt, shown while the base is the demo model. */
export function buildWords(app) {
  const { tables } = app.store.state;
  const words = tables.demo_words;
  const unknown = h("p", { class: "demo-unknown", role: "status" });
  const groups = GROUPS.map(([name, title]) => buildGroup(app, words, name, title));
  const line = h("div", { class: "demo-line" }, h("span", {}, "Demo model: understands"), groups);
  const element = h("div", { class: "demo" }, line, unknown);
  app.store.on(
    ({ choices }) => choices.base.is_demo,
    (isDemo) => (element.hidden = !isDemo),
  );
  app.store.on(
    ({ draft, choices }) => (choices.base.is_demo ? draft.prompt : ""),
    (prompt) => showUnknown(unknown, unknownWords(prompt, words.known)),
  );
  return element;
}

function buildGroup(app, words, name, title) {
  const list = h("div", { class: "demo-chips" });
  const update = () => {
    const { prompt } = app.store.state.draft;
    const chip = (phrase) =>
      h(
        "button",
        { type: "button", class: "word", "aria-pressed": String(includes(prompt, phrase)), onclick: () => press(phrase) },
        phrase,
      );
    fill(list, words[name].map(chip));
  };
  const press = (phrase) => {
    app.drafts.edit(({ prompt }) => ({ prompt: toggleWord(prompt, name, phrase, words) }));
    update();
    [...list.children].find((chip) => chip.textContent === phrase).focus();
  };
  const button = h("button", { type: "button", class: "word-group" }, title);
  return withPopover(button, { "aria-label": `Words of the demo model: ${title}` }, list, update);
}

function showUnknown(element, unknown) {
  const rest = unknown.length - NAMED;
  const named = unknown.slice(0, NAMED).join(", ") + (rest > 0 ? ` and ${rest} more` : "");
  element.textContent = unknown.length ? `Unknown to the demo model: ${named}` : "";
  element.title = unknown.join(", ");
  element.hidden = !unknown.length;
}

/** Words of a prompt that are not among the known, each once. */
function unknownWords(prompt, known) {
  const all = new Set(known);
  const words =
    prompt
      .toLowerCase()
      .replace(/:\s*-?[\d.]+|__\S+?__|[\d.]+(?=::)/g, " ")
      .match(/[\p{L}\p{N}]+/gu) ?? [];
  return [...new Set(words)].filter((word) => !all.has(word));
}

/** Put a phrase into a prompt, in the order of the demo model's captions, in the place of another of its kind; or take it out. */
function toggleWord(prompt, name, phrase, words) {
  if (SYNTAX.test(prompt)) return toggleInPlace(prompt, name, phrase, words);
  const parts = partsOf(prompt, words);
  if (name === "things") parts.things = toggled(parts.things, phrase);
  else parts[name] = parts[name] === phrase ? "" : phrase;
  return compose(parts);
}

function toggled(list, phrase) {
  return list.includes(phrase) ? list.filter((one) => one !== phrase) : [...list, phrase];
}

/** A prompt with weights keeps its order: only the phrase itself is replaced, removed or added. */
function toggleInPlace(prompt, name, phrase, words) {
  const old = name === "things" ? phrase : words[name].find((one) => includes(prompt, one));
  if (!old || !includes(prompt, old)) return `${prompt.trimEnd()} ${phrase}`;
  return prompt
    .replace(patternOf(old), old === phrase ? "" : phrase)
    .replace(/ {2,}/g, " ")
    .trim();
}

/** The phrases in a prompt by their kind, and in `own` all that is none of them. */
function partsOf(prompt, words) {
  let rest = prompt;
  const take = (phrases) => {
    const found = phrases.filter((phrase) => includes(rest, phrase)).sort((one, other) => placeOf(prompt, one) - placeOf(prompt, other));
    for (const phrase of found) rest = rest.replace(patternOf(phrase), " ");
    return found;
  };
  const [starts, palettes, things, skies] = GROUPS.map(([name]) => take(words[name]));
  const joints = things.length ? /^[\s,]*\bof\b|\band\b(?=\s*(,|$))|(^|,)\s*and\b/g : /^[\s,]*\bof\b|\band\b(?=\s*$)/g;
  const own = rest
    .replace(joints, " ")
    .replace(/(\s*,)+\s*(?=,|$)/g, "")
    .replace(/\s+/g, " ")
    .replace(/^[\s,]+|[\s,]+$/g, "");
  return { starts: starts[0] ?? "", palettes: palettes[0] ?? "", things, skies: skies[0] ?? "", own };
}

function compose({ starts, palettes, things, skies, own }) {
  const named = [own, ...things].filter(Boolean);
  const listed = named.length > 1 ? `${named.slice(0, -1).join(", ")} and ${named.at(-1)}` : (named[0] ?? "");
  const content = [listed, skies].filter(Boolean).join(" ");
  if (!starts || starts.endsWith(" of")) return [starts, content, palettes].filter(Boolean).join(" ");
  const start = [starts, palettes].filter(Boolean).join(" ");
  return content ? `${start} of ${content}` : start;
}

function patternOf(phrase) {
  return new RegExp(`(?<![\\p{L}\\p{N}])${phrase}(?![\\p{L}\\p{N}])`, "iu");
}

function includes(text, phrase) {
  return patternOf(phrase).test(text);
}

function placeOf(text, phrase) {
  return text.search(patternOf(phrase));
}
