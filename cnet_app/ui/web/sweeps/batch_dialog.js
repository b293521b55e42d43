/** The dialog of a batch: many pictures, each in the place of the draft's photo, with prompts of their own where there are any. */

import { BatchFiles, choosePictures } from "./batch_files.js";
import { openDialog } from "../dialogs/dialogs.js";
import { h } from "../core/dom.js";
import { titleOfLayer } from "../layers/layer_actions.js";
import { draftForCall, timeOf } from "./sweep_time.js";

const TAKING = ["photo", "own", "map"]; // sources that a picture of the batch can replace

/** Open the dialog for the draft as it is. */
export function openBatch(app) {
  return new BatchDialog(app);
}

class BatchDialog {
  #app;
  #draft;
  #files = new BatchFiles();

  constructor(app) {
    this.#app = app;
    this.#draft = draftForCall(app);
    this.places = placesOf(app.store.state).map((place) => ({ ...place, box: h("input", { type: "checkbox", checked: place.isUsual, onchange: () => this.#show() }) }));
    this.follow = h("input", { type: "radio", name: "batch-size", checked: true });
    this.name = h("input", { type: "text", id: "batch-name", maxlength: "60", placeholder: "Batch" });
    this.chosen = h("p", { role: "status" });
    this.plan = h("p", { class: "sweep-plan", role: "status" });
    this.fault = h("p", { class: "warning", role: "alert" });
    this.bar = h("progress", { max: "1", "aria-label": "Upload", hidden: true });
    this.start = h("button", { type: "button", class: "primary", onclick: () => this.#start() }, "Start the batch");
    this.dialog = openDialog(app, "Batch", this.places.length ? this.#content() : noPlace(), { class: "sweep-dialog" });
    this.dialog.addEventListener("dragover", (event) => event.preventDefault());
    this.dialog.addEventListener("drop", (event) => this.#drop(event));
    this.#show();
  }

  #content() {
    const choose = (options) => async () => this.#take(await choosePictures(options));
    return [
      h(
        "div",
        { class: "batch-files" },
        h(
          "div",
          { class: "batch-buttons" },
          h("button", { type: "button", onclick: choose({}) }, "Choose pictures …"),
          h("button", { type: "button", onclick: choose({ isFolder: true }) }, "Choose a folder …"),
          (this.clear = h("button", { type: "button", class: "quiet", onclick: () => this.#clear() }, "Remove all")),
        ),
        this.chosen,
      ),
      h(
        "p",
        { class: "quiet-text" },
        "A text file is the prompt of the picture of its name. A CSV or TSV file with the columns file, prompt, seed or " +
          "other settings makes a picture for each of its rows.",
      ),
      h(
        "fieldset",
        {},
        h("legend", {}, "The pictures take the place of"),
        this.places.map(({ box, title }) => h("label", { class: "choice" }, box, title)),
      ),
      h("fieldset", {}, h("legend", {}, "Size"), this.#sizes()),
      h("div", { class: "sweep-name" }, h("label", { for: "batch-name" }, "Name"), this.name),
      this.plan,
      this.fault,
      this.bar,
      h("div", { class: "dialog-foot" }, this.start, h("button", { type: "button", onclick: () => this.dialog.close() }, "Not now")),
    ];
  }

  #sizes() {
    const { width, height } = this.#draft.frame;
    const fixed = h("input", { type: "radio", name: "batch-size" });
    return [
      h("label", { class: "choice" }, this.follow, "Each picture's own shape"),
      h("label", { class: "choice" }, fixed, `${width} × ${height} for all, cropped`),
    ];
  }

  #drop(event) {
    event.preventDefault();
    event.stopPropagation(); // else it would be the photo of all tabs
    this.#take([...event.dataTransfer.files]);
  }

  #take(files) {
    if (!files.length) return;
    this.#files.add(files);
    this.#show();
  }

  #clear() {
    this.#files = new BatchFiles();
    this.#show();
  }

  #show() {
    if (!this.places.length) return;
    const { pictures, table } = this.#files;
    this.chosen.textContent = this.#files.words();
    this.clear.hidden = this.#files.isEmpty;
    this.fault.textContent = "";
    const count = pictures.length * this.#draft.count;
    const each = this.#draft.count > 1 ? `${pictures.length} × ${this.#draft.count} = ` : "";
    if (!pictures.length) this.plan.textContent = "";
    else if (table) this.plan.textContent = `One picture for each row of ${table.name}${this.#draft.count > 1 ? `, ${this.#draft.count} times` : ""}.`;
    else this.plan.textContent = `${each}${count} ${count === 1 ? "picture" : "pictures"}, ${timeOf(this.#app, count)}.`;
  }

  async #start() {
    if (this.start.getAttribute("aria-disabled") === "true") return;
    this.start.setAttribute("aria-disabled", "true");
    this.fault.textContent = "";
    try {
      await this.#send();
    } catch (refusal) {
      this.fault.textContent = refusal.message;
    } finally {
      this.bar.hidden = true;
      this.start.removeAttribute("aria-disabled");
    }
  }

  async #send() {
    const { max_upload_mb: limit } = this.#app.store.state.tables;
    this.#files.check(limit);
    this.bar.hidden = false;
    const report = (share) => (this.bar.value = share);
    const sent = await this.#files.upload(this.#app.server, { report, isOn: () => this.dialog.open });
    if (!this.dialog.open) return;
    const { missing, sweep, warnings = [] } = await this.#app.blobs.call("batch", {
      ...sent,
      draft: this.#draft,
      into: this.places.filter(({ box }) => box.checked).map(({ id }) => id),
      size: this.follow.checked ? "follow" : "fixed",
      name: this.name.value.trim(),
    });
    if (missing) {
      this.#app.askDownload(missing, () => this.#start());
      return;
    }
    this.#app.sweeps.add(sweep);
    warnings.forEach((text) => this.#app.say(text));
    this.dialog.close();
  }
}

/** What the pictures can replace: layers that are on and made of a picture, and the picture to start from. */
function placesOf(state) {
  const { layers, start } = state.draft;
  const taking = layers.filter(({ enabled, source }) => enabled && TAKING.includes(source));
  const ofLayers = taking.map((layer) => {
    const what = layer.source === "map" ? "the map" : layer.source === "own" ? "its own photo" : "the photo";
    return { id: layer.id, title: `${titleOfLayer(state, layer)}: ${what}`, isUsual: layer.source === "photo" };
  });
  if (start) ofLayers.push({ id: "start", title: "The picture to start from", isUsual: !start.picture });
  if (!ofLayers.some(({ isUsual }) => isUsual)) ofLayers.forEach((place) => (place.isUsual = true));
  return ofLayers;
}

function noPlace() {
  return h("p", {}, "The pictures of a batch need a place: add a layer that is made of a photo, or choose “Start from picture”, then open this again.");
}
