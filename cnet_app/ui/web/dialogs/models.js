/** All models: what is here, what can be downloaded, under which terms; and where files of one's own go. */

import { openDialog } from "./dialogs.js";
import { fill, h } from "../core/dom.js";

const COLUMNS = ["Model", "Used as", "Made for", "Size", "Licence", ""];

/** Fetch again what depends on the files on the disk: the lists of models, and what annotators need. */
export async function refreshModels(app) {
  const { chosen = "" } = app.store.state.choices;
  const [tables, choices] = await Promise.all([app.server.call("tables"), app.server.call("choices", { base: chosen })]);
  app.store.patch({ tables, choices: { ...choices, chosen } });
}

/** Open the table of all models. */
export function openModels(app) {
  const body = h("div", { class: "models" }, "Reading the models …");
  const dialog = openDialog(app, "Models", body, { class: "wide" });
  const load = () =>
    app.attempt(async () => {
      const answer = await app.server.call("catalogue");
      if (dialog.open) show(app, body, answer, load);
    });
  load();
}

function show(app, body, { models, folders }, load) {
  const rows = models.map((model) => [model, modelRow(app, model, load)]);
  const words = body.querySelector("input[type=search]")?.value ?? "";
  const search = h("input", {
    type: "search",
    "aria-label": "Filter the models",
    placeholder: "Filter: name, kind, family, licence",
    value: words,
  });
  const onlyHere = h("input", { type: "checkbox" });
  const count = h("p", { class: "quiet-text", role: "status" });
  const filter = () => {
    const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const isShown = (model) => (!onlyHere.checked || model.here) && wanted.every((word) => textOf(model).includes(word));
    for (const [model, row] of rows) row.hidden = !isShown(model);
    count.textContent = `${rows.filter(([, row]) => !row.hidden).length} of ${rows.length} models`;
  };
  search.oninput = onlyHere.onchange = filter;
  const { no_downloads: refusal } = app.store.state.tables;
  fill(
    body,
    refusal && h("p", { class: "note" }, refusal),
    h("div", { class: "models-filter" }, search, h("label", { class: "choice" }, onlyHere, "Here only")),
    count,
    h(
      "div",
      { class: "models-table", tabindex: "0", role: "region", "aria-label": "Table of models" },
      h(
        "table",
        {},
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            COLUMNS.map((name) => h("th", { scope: "col" }, name || h("span", { class: "unseen" }, "State"))),
          ),
        ),
        h(
          "tbody",
          {},
          rows.map(([, row]) => row),
        ),
      ),
    ),
    ownFiles(folders),
  );
  filter();
  if (!words) search.focus();
}

function textOf({ id, title, kind_title, family_title, licence = "" }) {
  return `${id} ${title} ${kind_title} ${family_title} ${licence}`.toLowerCase();
}

function modelRow(app, model, load) {
  const { id, title, kind_title, family_title, size, licence = "", use = "", gate = "", page, here } = model;
  const name = page ? h("a", { href: page, target: "_blank", rel: "noopener noreferrer" }, title) : title;
  const ask = () =>
    app.attempt(async () => {
      const { missing } = await app.server.call("question", { ids: [id] });
      app.askDownload(missing, load);
    });
  const state = here
    ? "Here"
    : page && !app.store.state.tables.no_downloads
      ? h("button", { type: "button", "aria-label": `Download ${title}`, onclick: ask }, "Download …")
      : "Missing";
  const cells = [kind_title, family_title, size, h("span", { title: `${use} ${gate}`.trim() }, gate ? `${licence}, gated` : licence), state];
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, name),
    cells.map((cell) => h("td", {}, cell)),
  );
}

function ownFiles(folders) {
  const line = ({ title, folder }) => h("li", {}, `${title[0].toUpperCase()}${title.slice(1)}: `, h("code", {}, folder));
  return h(
    "details",
    { class: "own-files" },
    h("summary", {}, "Files of your own"),
    h("p", {}, "Put files into these folders; they are in the lists at once."),
    h("ul", {}, folders.map(line)),
  );
}
