/** What a study found: its table, the paper's rows, and the files to save. */

import { h } from "../core/dom.js";
import { download } from "../library/pictures.js";

/** Fetch and build the view; `back` returns to the list. */
export async function buildResults(app, study, back, unfinished = false) {
  const found = await app.server.call("study_results", { study: study.name, unfinished });
  const view = h("section", { class: "studies-results", "aria-label": `Results of ${study.name}` });
  const again = async ({ target }) => view.replaceWith(await buildResults(app, study, back, target.checked));
  view.append(
    h("button", { type: "button", class: "quiet", onclick: back }, "← All studies"),
    h("h3", {}, study.name),
    h("p", {}, found.facts),
    h("label", { class: "studies-switch" }, h("input", { type: "checkbox", checked: unfinished, onchange: again }), "Count those too who have questions left"),
    found.rows.length ? table("This study", found.head, found.rows) : h("p", {}, unfinished ? "Nobody has answered a question yet." : "No participant has answered all questions yet."),
    table("Published", found.head, found.published),
    h("p", { class: "studies-quiet" }, found.source),
    h("p", { class: "studies-files" }, "Save: ", Object.entries(found.files).map(([name, text]) => h("button", { type: "button", onclick: () => save(`${study.name}-${name}`, text) }, name))),
  );
  return view;
}

function table(caption, head, rows) {
  return h(
    "table",
    {},
    h("caption", {}, caption),
    h("thead", {}, h("tr", {}, head.map((title) => h("th", { scope: "col" }, title)))),
    h("tbody", {}, rows.map(([name, ...cells]) => h("tr", {}, h("th", { scope: "row" }, name), cells.map((cell) => h("td", {}, cell))))),
  );
}

function save(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  download(url, name);
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
