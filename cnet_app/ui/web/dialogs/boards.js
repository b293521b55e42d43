/** Boards: a name that pictures are put on. */

import { h } from "../core/dom.js";

/** Ask for a board's name; resolves to null where nothing was chosen, and to "" for none. */
export async function askBoard(app, current = "") {
  const { boards } = await app.server.call("shelves");
  const field = h("input", { type: "text", list: "known-boards", maxlength: "60", value: current, "aria-label": "Board", autofocus: true });
  const dialog = h(
    "dialog",
    { class: "dialog ask", "aria-labelledby": "ask-board" },
    h(
      "form",
      { method: "dialog" },
      h("h2", { id: "ask-board" }, "Put on a board"),
      field,
      h("datalist", { id: "known-boards" }, boards.map(({ name }) => h("option", { value: name }))),
      h(
        "div",
        { class: "ask-buttons" },
        h("button", { class: "primary", value: "put" }, "Put"),
        h("button", { value: "take" }, "Take off its board"),
        h("button", { value: "" }, "Cancel"),
      ),
    ),
  );
  const chosen = await open(app, dialog);
  return { put: field.value.trim(), take: "" }[chosen] ?? null;
}

/** Show a dialog and resolve to what closed it. */
export function open(app, dialog) {
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue);
    });
    app.root.append(dialog);
    dialog.showModal();
  });
}
