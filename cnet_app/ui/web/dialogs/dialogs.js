/** Questions and longer views over the page: native dialogs, closed by Esc, after which the focus is where it was. */

import { openBatch } from "../sweeps/batch_dialog.js";
import { chooseBase } from "../desk/chosen.js";
import { h, iconButton } from "../core/dom.js";
import { askDownload } from "./downloads.js";
import { openGrid } from "../sweeps/grid_dialog.js";
import { buildHelp, buildKeys } from "./help.js";
import { openModels } from "./models.js";

/** The place of all dialogs. Gives the app askDownload(missing, then) and openDialog(name). */
export function buildDialogs(app) {
  const element = h("div", { class: "dialogs" });
  const views = {
    help: () => openDialog(app, "Help", buildHelp(app)),
    keys: () => openDialog(app, "Keys", buildKeys(app)),
    models: () => openModels(app),
    grid: () => openGrid(app),
    batch: () => openBatch(app),
    offer: () => offerStableDiffusion(app),
  };
  app.dialogs = element;
  app.askDownload = (missing, then, about) => askDownload(app, missing, then, about);
  app.openDialog = (name) => views[name]();
  return element;
}

/** Open a dialog with a title and a button that closes it; it is removed once it is closed. */
export function openDialog(app, title, content, props = {}) {
  const id = `dialog-${title.toLowerCase().replace(/\W+/g, "-")}`;
  const dialog = h(
    "dialog",
    { ...props, class: `dialog ${props.class ?? ""}`, "aria-labelledby": id },
    h(
      "header",
      { class: "dialog-head" },
      h("h2", { id }, title),
      iconButton("cancel", "Close", () => dialog.close()),
    ),
    h("div", { class: "dialog-body" }, content),
  );
  dialog.addEventListener("close", () => dialog.remove());
  app.dialogs.append(dialog);
  dialog.showModal();
  return dialog;
}

/** What Stable Diffusion needs, and its download. */
function offerStableDiffusion(app) {
  const { offer } = app.store.state.choices;
  if (!offer) return app.openDialog("models");
  const introduction = [
    "The demo model makes small pictures of a few simple things. Stable Diffusion makes pictures of whatever you describe.",
    "With a graphics card a picture takes seconds; without one it takes minutes.",
    "Each control brings a model of its own, which is asked for when it is needed.",
  ];
  return app.askDownload(offer, () => chooseBase(app, offer.ids[0]), { title: "Get Stable Diffusion", introduction });
}
