/** The page of a study's participant: a name, one question after the other, and thanks. Nothing else of the app is built. */

import { h } from "../core/dom.js";
import { apply as applyTheme } from "../core/theme.js";
import { buildGuess, buildTraining } from "./guessing.js";
import { StudyPictures } from "./study_pictures.js";
import { Ranking } from "./ranking.js";

/** Show the study of a link, `?study=NAME`, in place of the studio. */
export async function openStudy(root, server, name) {
  applyTheme();
  root.classList.add("study");
  await new StudyPage(root, server, name).begin();
  root.removeAttribute("aria-busy");
}

class StudyPage {
  #root;
  #server;
  #name;
  #study = null;
  #participant = "";
  #pictures = null;
  #view = null; // the question that is shown: {element, press(event), focus()}
  #isSending = false;

  constructor(root, server, name) {
    this.#root = root;
    this.#server = server;
    this.#name = name;
    this.title = h("h1", {}, "Study");
    this.who = h("p", { class: "study-who", hidden: true });
    this.progress = h("progress", { "aria-label": "Answered", max: "1", value: "0", hidden: true });
    this.count = h("span", { class: "study-count" });
    this.alert = h("p", { class: "study-alert", role: "alert", hidden: true });
    this.main = h("main", { class: "study-main" });
    const head = h("header", { class: "study-head" }, this.title, this.progress, this.count, this.who);
    root.replaceChildren(head, this.alert, this.main);
    document.addEventListener("keydown", (event) => this.#press(event));
  }

  async begin() {
    await this.#attempt(async () => {
      this.#study = await this.#server.call("study", { study: this.#name });
      document.title = `Study: ${this.#study.name}`;
      this.title.textContent = this.#study.name;
      const known = remembered(this.#name);
      if (known) await this.#enter(known);
      else this.#ask();
    });
  }

  /** Ask who takes part. */
  #ask() {
    this.#participant = "";
    this.#view = null;
    for (const part of [this.who, this.progress]) part.hidden = true;
    this.count.textContent = "";
    const name = h("input", { type: "text", id: "participant", name: "participant", maxlength: "40", autocomplete: "off", autocapitalize: "none", spellcheck: "false", required: true, "aria-describedby": "participant-help" });
    const form = h(
      "form",
      { class: "study-begin" },
      h("p", {}, introduction(this.#study)),
      h("label", { for: "participant" }, "Your name or number"),
      name,
      h("p", { class: "study-quiet", id: "participant-help" }, "Any name or number will do; it is kept with your answers, and nothing else about you. Give the same one later to go on where you stopped."),
      h("button", { class: "primary" }, "Begin"),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#attempt(() => this.#enter(name.value, true));
    });
    this.main.replaceChildren(form);
    name.focus();
  }

  /** Go to the first question that is left. A name that is typed and has answers is asked about: it may be somebody else's. */
  async #enter(participant, isTyped = false) {
    const question = await this.#server.call("study_question", { study: this.#name, participant });
    if (isTyped && question.answered) this.#confirm(participant, question);
    else this.#start(participant, question);
  }

  #confirm(participant, question) {
    const go = h("button", { type: "button", class: "primary", onclick: () => this.#start(participant, question) }, `Go on as ${question.participant}`);
    this.main.replaceChildren(
      h(
        "div",
        { class: "study-begin" },
        h("p", {}, `“${question.participant}” has answered ${question.answered} of ${question.of} questions. If that was not you, choose another name.`),
        go,
        h("button", { type: "button", onclick: () => this.#ask() }, "Choose another name"),
      ),
    );
    go.focus();
  }

  #start(participant, question) {
    remember(this.#name, participant);
    this.#participant = question.participant;
    this.#pictures = new StudyPictures(this.#server, { study: this.#name, participant }, (text) => this.#tell(text));
    const change = h("button", { type: "button", class: "quiet", onclick: () => this.#leave() }, "Not you?");
    this.who.replaceChildren(h("span", {}, `Answering as ${this.#participant}`), change);
    for (const part of [this.who, this.progress]) part.hidden = false;
    this.#show(question);
  }

  #leave() {
    remember(this.#name, "");
    this.#tell("");
    this.#ask();
  }

  #show(question) {
    this.progress.max = question.of;
    this.progress.value = question.answered;
    const isDone = question.round === "done";
    this.count.textContent = isDone ? `${question.of} of ${question.of}` : `${question.answered + 1} of ${question.of}`;
    if (isDone) return this.#thank(question);
    this.#view = this.#build(question);
    this.main.replaceChildren(this.#view.element);
    scrollTo({ top: 0 });
    this.#root.scrollTop = 0;
    this.#view.focus();
    this.#pictures.fetchNext(question);
  }

  #build(question) {
    const props = { study: this.#study, pictures: this.#pictures, question, tell: (text) => this.#tell(text), send: (answer) => this.#send(question, answer) };
    if (question.round === "rank") return new Ranking(props);
    return question.round === "train" ? buildTraining(props) : buildGuess(props);
  }

  #thank({ of: total, right, tests }) {
    this.#view = null;
    const own = tests ? `You named the right model for ${right} of ${tests} pictures.` : "";
    const text = h("div", { class: "study-begin", tabindex: "-1" }, h("h2", {}, "Thank you"), h("p", {}, `All ${total} questions are answered. ${own}`), h("p", { class: "study-quiet" }, "You can close this page."));
    this.main.replaceChildren(text);
    text.focus();
  }

  async #send(question, answer) {
    if (this.#isSending) return;
    this.#isSending = true;
    await this.#attempt(async () => {
      const values = { study: this.#name, participant: this.#participant, question: question.question, ...answer };
      this.#show(await this.#server.call("study_answer", values));
    });
    this.#isSending = false;
  }

  #press(event) {
    const isPlain = !event.ctrlKey && !event.metaKey && !event.altKey && !event.defaultPrevented;
    if (!isPlain || !this.#view || event.target.closest?.("dialog[open], input")) return;
    if (event.key !== "Enter") return this.#view.press(event);
    if (event.target.closest?.("button, a")) return; // its own click
    event.preventDefault();
    this.main.querySelector(".study-next").click();
  }

  async #attempt(act) {
    try {
      this.#tell("");
      await act();
    } catch (refusal) {
      console.warn(refusal);
      this.#tell(refusal.message);
    }
  }

  #tell(text) {
    this.alert.textContent = text;
    this.alert.hidden = !text;
  }
}

function introduction({ kind, scale, places, best, questions, training }) {
  if (kind === "which") {
    return `Two models made these pictures. First you see ${training} ${training === 1 ? "pair" : "pairs"} of pictures with the letters of their models, A and B; then ${questions - training} single pictures without a letter, and you say which model made each.`;
  }
  const how = scale === "ranks" ? `a rank from 1, the worst, to ${best}, the best, each once` : `1, bad, to ${best}, very good`;
  return `You see ${questions} groups of ${places} pictures. Give each picture ${how}: once for its quality, and once for its fidelity, which is how closely it follows the control image.`;
}

function remembered(study) {
  try {
    return localStorage.getItem(`study-${study}`) ?? "";
  } catch {
    return "";
  }
}

function remember(study, participant) {
  try {
    localStorage.setItem(`study-${study}`, participant);
  } catch {
    // Storage is closed to this page: the name is typed again after a reload.
  }
}
