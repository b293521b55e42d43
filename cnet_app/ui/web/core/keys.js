/** Keys of the whole page: one table, changeable, silent while typing where the key would write. */

import { changeWeight } from "../desk/prompt.js";

const STORED = "studio-keys";

/** A row a key; `typing` works in text fields too, `once` not again while the key is held down. */
const KEYS = [
  { id: "generate", title: "Generate", keys: "Ctrl+Enter", typing: true, once: true, run: (app) => app.store.state.isSending || app.jobs.generate() },
  { id: "cancel", title: "Cancel the running job", keys: "Escape", run: (app) => cancelOrDrop(app) },
  { id: "heavier", title: "More weight for the words", keys: "Ctrl+ArrowUp", typing: true, run: (app) => weigh(0.1) },
  { id: "lighter", title: "Less weight for the words", keys: "Ctrl+ArrowDown", typing: true, run: (app) => weigh(-0.1) },
  { id: "undo", title: "Undo", keys: "Ctrl+Z", run: (app) => app.drafts.undo() },
  { id: "redo", title: "Redo", keys: "Ctrl+Y", also: "Ctrl+Shift+Z", run: (app) => app.drafts.redo() },
  { id: "brush", title: "Brush", keys: "B", run: (app) => app.stage.tool?.choose?.("brush") ?? app.tools.take(app.tools.fitting[0]?.id) },
  { id: "erase", title: "Eraser", keys: "E", run: (app) => app.stage.tool?.choose?.("erase") },
  { id: "smaller", title: "Smaller brush", keys: "[", run: (app) => app.stage.tool?.resize?.(1 / 1.25) },
  { id: "larger", title: "Larger brush", keys: "]", run: (app) => app.stage.tool?.resize?.(1.25) },
  { id: "fit", title: "Show the whole picture", keys: "0", run: (app) => app.stage.fit() },
  { id: "hand", title: "Move the stage", keys: "V", run: (app) => app.tools.drop() },
  { id: "help", title: "Help and keys", keys: "?", run: (app) => app.openDialog("help") },
];

class Keys {
  #app;
  #own;

  constructor(app) {
    this.#app = app;
    this.#own = readOwn();
    document.addEventListener("keydown", (event) => this.#press(event));
  }

  /** {id, title, keys} of every key, as it is now. */
  get list() {
    return KEYS.map(({ id, title, keys }) => ({ id, title, keys: this.#own[id] ?? keys }));
  }

  /** Give a key to an action, or its usual one back where none is given; returns a sentence where it is taken. */
  assign(id, keys) {
    const other = keys && this.list.find((row) => row.id !== id && row.keys === keys);
    if (other) return `${keys} is already the key of “${other.title}”; choose another one.`;
    if (keys) this.#own = { ...this.#own, [id]: keys };
    else delete this.#own[id];
    localStorage.setItem(STORED, JSON.stringify(this.#own));
    return "";
  }

  #press(event) {
    if (event.defaultPrevented || event.isComposing) return;
    const pressed = nameOf(event);
    const row = KEYS.find(({ id, keys, also }) => (this.#own[id] ?? keys) === pressed || also === pressed);
    if (!row || (!row.typing && isTyping(event.target)) || this.#isInDialog(event, row)) return;
    event.preventDefault();
    if (!row.once || !event.repeat) row.run(this.#app);
  }

  #isInDialog(event, row) {
    return row.id !== "generate" && Boolean(event.target.closest?.("dialog[open]"));
  }
}

export function listenForKeys(app) {
  app.keys = new Keys(app);
}

/** "Ctrl+Shift+Z" for an event; the command key of a Mac counts as Ctrl. */
export function nameOf(event) {
  const key = event.key.length === 1 ? event.key.toUpperCase() : event.key;
  const isSign = event.key.length === 1 && event.key.toUpperCase() === event.key.toLowerCase();
  return [(event.ctrlKey || event.metaKey) && "Ctrl", event.altKey && "Alt", event.shiftKey && !isSign && "Shift", key].filter(Boolean).join("+");
}

function isTyping(target) {
  return target.isContentEditable || /^(textarea|select)$/i.test(target.tagName) || (target.tagName === "INPUT" && !/^(range|checkbox|radio|button)$/.test(target.type));
}

function cancelOrDrop(app) {
  const { running } = app.store.state;
  if (app.stage.tool) app.tools.drop();
  else if (running) app.jobs.cancel(running.id);
}

function weigh(step) {
  if (document.activeElement?.tagName === "TEXTAREA") changeWeight(document.activeElement, step);
}

function readOwn() {
  try {
    return JSON.parse(localStorage.getItem(STORED)) ?? {};
  } catch {
    return {};
  }
}
