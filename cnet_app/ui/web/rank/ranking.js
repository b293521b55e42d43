/** A group of pictures, each of which gets a rank or rating for quality and one for fidelity. */

import { h } from "../core/dom.js";

const PARTS = [["quality", "Quality"], ["fidelity", "Fidelity"]];
const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
const KEYS = "Keys: a digit gives a rank and goes on, ← → change the picture, ↑ ↓ change between quality and fidelity, Enter is Next.";

export class Ranking {
  #study;
  #places;
  #tell;
  #send;
  #values; // by part: the number at each place, or null
  #at = [0, 0]; // part and place that a digit is for
  #cells; // by part and place: {element, buttons}

  constructor({ study, pictures, question, tell, send }) {
    this.#study = study;
    this.#places = question.places;
    this.#tell = tell;
    this.#send = send;
    this.#values = PARTS.map(() => Array(question.places).fill(null));
    this.#cells = PARTS.map((part, row) => [...Array(question.places).keys()].map((place) => this.#cell(row, place)));
    this.next = h("button", { type: "button", class: "primary study-next", onclick: () => this.#submit() }, "Next");
    this.status = h("span", { role: "status" });
    this.element = h(
      "div",
      { class: "study-question" },
      h("p", { class: "study-task" }, this.#task()),
      h("div", { class: "study-group" }, this.#control(pictures, question), this.#cells[0].map((cell, place) => this.#card(pictures, question, place))),
      h("div", { class: "study-foot" }, this.next, this.status, h("span", { class: "study-quiet study-keys" }, KEYS)),
    );
    this.#update();
  }

  focus() {
    this.#focus({ preventScroll: true });
  }

  press(event) {
    const step = STEPS[event.key];
    const digit = /^[1-9]$/.test(event.key) ? Number(event.key) : 0;
    if (!step && !(digit && digit <= this.#study.best)) return;
    event.preventDefault();
    if (digit) this.#give(...this.#at, digit, true);
    else this.#move(...step);
  }

  #task() {
    const { scale, best } = this.#study;
    return scale === "ranks" ? `Rank the pictures from 1, the worst, to ${best}, the best: each number once for quality, and once for fidelity to the control image.` : `Rate each picture from 1, bad, to ${best}, very good: its quality, and its fidelity to the control image.`;
  }

  #control(pictures, question) {
    const control = pictures.control(question);
    return control && h("div", { class: "study-card study-control" }, control);
  }

  #card(pictures, question, place) {
    return h("section", { class: "study-card", "aria-label": `Picture ${place + 1}` }, pictures.figure(question, place, `Picture ${place + 1}`), PARTS.map((part, row) => this.#cells[row][place].element));
  }

  #cell(row, place) {
    const [, title] = PARTS[row];
    const buttons = [...Array(this.#study.best).keys()].map((index) => {
      const label = `${title} of picture ${place + 1}: ${index + 1}`;
      return h("button", { type: "button", "aria-label": label, onclick: ({ detail }) => this.#give(row, place, index + 1, detail === 0) }, String(index + 1));
    });
    const element = h("div", { class: "study-cell", role: "group", "aria-label": `${title} of picture ${place + 1}`, onfocusin: () => this.#stand(row, place) }, h("span", { class: "study-part" }, title), h("span", { class: "study-numbers" }, buttons));
    return { element, buttons };
  }

  /** Where a rank is taken, the two pictures change places. By key, the focus goes on; a finger keeps its place on the page. */
  #give(row, place, value, isKey) {
    const values = this.#values[row];
    const other = this.#study.scale === "ranks" ? values.indexOf(value) : -1;
    if (other >= 0) values[other] = values[place];
    values[place] = value;
    this.#tell("");
    this.#update();
    if (!isKey) return;
    const open = this.#open();
    if (!open) {
      this.next.focus();
      return;
    }
    this.#at = open;
    this.#focus();
  }

  /** The first cell without a number, after the one where we are if there is one. */
  #open() {
    const all = PARTS.flatMap((part, row) => this.#values[row].map((value, place) => [row, place, value]));
    const here = this.#at[0] * this.#places + this.#at[1];
    const found = [...all.slice(here), ...all.slice(0, here)].find(([, , value]) => value === null);
    return found?.slice(0, 2);
  }

  #move(rows, places) {
    const [row, place] = this.#at;
    this.#at = [Math.max(0, Math.min(PARTS.length - 1, row + rows)), Math.max(0, Math.min(this.#places - 1, place + places))];
    this.#focus();
  }

  #focus(how) {
    const [row, place] = this.#at;
    const { buttons } = this.#cells[row][place];
    (buttons[(this.#values[row][place] ?? 1) - 1] ?? buttons[0]).focus(how);
    this.#mark();
  }

  #stand(row, place) {
    this.#at = [row, place];
    this.#mark();
  }

  #mark() {
    const [row, place] = this.#at;
    this.#cells.forEach((cells, at) => cells.forEach(({ element }, index) => element.classList.toggle("is-current", at === row && index === place)));
  }

  #update() {
    this.#cells.forEach((cells, row) =>
      cells.forEach(({ buttons }, place) =>
        buttons.forEach((button, index) => {
          const isOwn = this.#values[row][place] === index + 1;
          button.setAttribute("aria-pressed", String(isOwn));
          button.classList.toggle("is-taken", !isOwn && this.#study.scale === "ranks" && this.#values[row].includes(index + 1));
        }),
      ),
    );
    const given = this.#values.flat().filter((value) => value !== null).length;
    this.status.textContent = `${given} of ${this.#places * PARTS.length} given`;
  }

  #submit() {
    const open = this.#open();
    if (!open) return this.#send({ quality: this.#values[0], fidelity: this.#values[1] });
    this.#at = open;
    this.#tell(`Picture ${open[1] + 1} has no number for ${PARTS[open[0]][0]} yet; give it one.`);
    this.#focus();
  }
}
