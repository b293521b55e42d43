/** The wildcards of the prompt: how many combinations they are, why they cannot be read, and the names that there are. */

import { fill, h } from "../core/dom.js";

const WILD = /[{}]|__/;
const WAIT = 400; // ms after the last letter
const BEGUN = /__[^\s_]*$/; // a name that is being typed
const MOST = 12; // names that are offered

/** A line below the prompt, shown while that has wildcards. */
export function buildWildcards(app) {
  const words = h("p", { class: "quiet-text", role: "status" });
  const names = h("div", { class: "demo-chips", role: "group", "aria-label": "Wildcards" });
  const element = h("div", { class: "wildcards", hidden: true }, words, names);
  let timer = 0;
  const look = async (prompt) => {
    const found = await app.server.call("wildcards", { prompt }).catch(() => null);
    if (!found || app.store.state.draft.prompt !== prompt) return;
    words.textContent = found.fault || wordsOf(found);
    words.classList.toggle("warning", Boolean(found.fault));
    fill(names, namesOf(found.names, prompt).map(chip));
    names.hidden = !names.children.length;
    element.hidden = !words.textContent && names.hidden;
  };
  const chip = (name) => h("button", { type: "button", class: "word", onclick: () => insert(name) }, name);
  app.store.on(
    ({ draft }) => draft.prompt,
    (prompt) => {
      clearTimeout(timer);
      if (WILD.test(prompt)) timer = setTimeout(() => look(prompt), WAIT);
      else element.hidden = true;
    },
  );
  return element;
}

function wordsOf({ factors, count }) {
  if (!factors.length) return "";
  const product = factors.length > 1 ? `${factors.join(" × ")} = ` : "";
  return `${product}${count.toLocaleString("en")} ${count === 1 ? "combination" : "combinations"}; each picture takes one.`;
}

/** Names that are not in the prompt yet; while one is being typed those that hold its letters. */
function namesOf(names, prompt) {
  const typed = BEGUN.exec(prompt)?.[0].slice(2).toLowerCase() ?? "";
  return names.filter((name) => !prompt.includes(`__${name}__`) && name.toLowerCase().includes(typed)).slice(0, MOST);
}

/** Put a name at the caret, in the place of one that is being typed there. */
function insert(name) {
  const area = document.getElementById("prompt");
  const begun = BEGUN.exec(area.value.slice(0, area.selectionStart))?.[0] ?? "";
  area.focus();
  area.setSelectionRange(area.selectionStart - begun.length, area.selectionEnd);
  if (document.execCommand("insertText", false, `__${name}__`)) return; // can be undone in the field
  area.setRangeText(`__${name}__`, area.selectionStart, area.selectionEnd, "end");
  area.dispatchEvent(new InputEvent("input", { bubbles: true }));
}
