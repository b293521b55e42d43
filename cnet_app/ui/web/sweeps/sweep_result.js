/** What a grid or a batch has made, in a dialog: the grid's picture and its page, or the batch's pictures. */

import { openDialog } from "../dialogs/dialogs.js";
import { h } from "../core/dom.js";

const MOST = 200; // pictures of a batch that are shown

/** Show the result of a sweep by its id. */
export async function showSweep(app, id) {
  const sweep = await app.attempt(() => app.server.call("sweep", { sweep: id }));
  if (!sweep) return;
  const content = sweep.kind === "grid" && sweep.png ? gridOf(app, sweep) : picturesOf(app, sweep);
  openDialog(app, sweep.name, [content, linksOf(app, sweep), remarksOf(sweep)], { class: "wide sweep-result" });
}

/** The address of a file of a sweep; another one after each picture, for the files are written anew. */
function address(app, { path }, { done }) {
  return `${app.server.fileUrl(path)}?${done}`;
}

function gridOf(app, sweep) {
  const words = `Grid of ${sweep.done} pictures`;
  return h("div", { class: "sweep-grid", tabindex: "0", role: "region", "aria-label": words }, h("img", { src: address(app, sweep.png, sweep), alt: words }));
}

function picturesOf(app, sweep) {
  const shown = sweep.pictures.slice(0, MOST);
  const link = ({ path }) => {
    const name = path.split(/[\\/]/).at(-1);
    const url = app.server.fileUrl(path);
    return h("li", {}, h("a", { href: url, target: "_blank", rel: "noopener" }, h("img", { src: url, alt: name, title: name, loading: "lazy" })));
  };
  const more = sweep.pictures.length - shown.length;
  return [h("ul", { class: "sweep-pictures" }, shown.map(link)), more > 0 && h("p", {}, `${more} more are in the folder.`)];
}

function linksOf(app, sweep) {
  const { html, png, folder } = sweep;
  return h(
    "p",
    { class: "sweep-links" },
    html && h("a", { href: address(app, html, sweep), target: "_blank", rel: "noopener" }, "Open as a page"),
    png && h("a", { href: address(app, png, sweep), download: `${sweep.name}.png` }, "Save the picture"),
    html && h("a", { href: address(app, html, sweep), download: `${sweep.name}.html` }, "Save the page"),
    folder && h("span", {}, "Folder: ", h("code", {}, folder)),
  );
}

function remarksOf({ notes, failures }) {
  const lines = [...notes, ...failures.map(({ name, error }) => `${name}: ${error}`)];
  return lines.length
    ? h(
        "ul",
        { class: "sweep-remarks" },
        lines.map((line) => h("li", {}, line)),
      )
    : null;
}
