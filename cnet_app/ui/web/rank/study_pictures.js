/** Pictures of a study's questions: fetched by their places, the next question's ahead, and shown large at a press. */

import { h, iconButton } from "../core/dom.js";

const CONTROL = "Control image";

export class StudyPictures {
  #server;
  #who;
  #tell;
  #known = new Map(); // by question and place: a promise of a data URL

  /** `who` is {study, participant}; `tell` shows why a picture is missing. */
  constructor(server, who, tell) {
    this.#server = server;
    this.#who = who;
    this.#tell = tell;
  }

  /** A figure of the picture at a place, below it `name`; a press shows it large, beside the control image. */
  figure(question, place, name) {
    const image = h("img", { alt: name, draggable: "false" });
    this.#fill(image, question.question, place);
    const open = h("button", { type: "button", class: "study-open", "aria-label": `Enlarge: ${name}`, onclick: () => this.#enlarge(question, place, name) }, image);
    return h("figure", { class: "study-picture" }, open, h("figcaption", {}, name));
  }

  /** The control image, where the question has one. */
  control(question) {
    return question.control ? this.figure(question, null, CONTROL) : null;
  }

  /** Fetch the next question's pictures, and forget those of earlier ones. */
  fetchNext({ question, places, control, of: total }) {
    for (const key of this.#known.keys()) if (Number(key.split("/")[0]) < question) this.#known.delete(key);
    if (question + 1 >= total) return;
    const next = [...Array(places).keys(), ...(control ? [null] : [])];
    for (const place of next) this.#fetch(question + 1, place).catch(() => {}); // told when it is shown
  }

  #fetch(question, place) {
    const key = `${question}/${place ?? "control"}`;
    if (!this.#known.has(key)) {
      const values = { ...this.#who, question, place };
      const fetched = this.#server.call("study_picture", values).then(({ image }) => image);
      this.#known.set(key, fetched);
      fetched.catch(() => this.#known.delete(key)); // so that it is tried again
    }
    return this.#known.get(key);
  }

  async #fill(image, question, place) {
    try {
      image.src = await this.#fetch(question, place);
    } catch (refusal) {
      this.#tell(refusal.message);
    }
  }

  #enlarge(question, place, name) {
    const shown = [[place, name], ...(question.control && place !== null ? [[null, CONTROL]] : [])];
    const dialog = h(
      "dialog",
      { class: "study-large", "aria-label": name },
      iconButton("cancel", "Close (Esc)", () => dialog.close()),
      h(
        "div",
        { class: "study-large-pictures" },
        shown.map(([at, title]) => {
          const image = h("img", { alt: title });
          this.#fill(image, question.question, at);
          return h("figure", {}, image, h("figcaption", {}, title));
        }),
      ),
    );
    dialog.addEventListener("close", () => dialog.remove());
    dialog.addEventListener("click", ({ target }) => target === dialog && dialog.close());
    document.querySelector(".studio").append(dialog);
    dialog.showModal();
  }
}
