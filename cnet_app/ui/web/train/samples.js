/** Pictures of the probes over time: a row a probe, its map first, then one picture a look. */

import { fill, h } from "../core/dom.js";

const MOST = 12; // looks that are shown: the first, the last, the convergence, and others between

export class Samples {
  #app;
  #shown = "";

  constructor(app) {
    this.#app = app;
    this.element = h("section", { class: "samples", "aria-labelledby": "samples-title", hidden: true });
  }

  /** Show the looks at the probes; `probes` are the references of their maps. */
  show(looks, probes, converged) {
    const chosen = spread(looks, converged);
    const key = JSON.stringify([chosen.map(({ step }) => step), probes]);
    this.element.hidden = !looks.length;
    if (key === this.#shown) return;
    this.#shown = key;
    const rows = (chosen[0]?.pictures ?? []).map((_, number) => this.#row(number, chosen, probes));
    const head = h("tr", {}, h("th", { scope: "col" }, "Map"), chosen.map(({ step }) => h("th", { scope: "col", class: step === converged ? "is-converged" : "" }, `Step ${step}`)));
    fill(
      this.element,
      h("h3", { id: "samples-title" }, "Pictures of the probes"),
      h("p", { class: "quiet-text" }, "Maps that are not trained on; the same seed each time. Below each picture is its agreement with the map."),
      h("div", { class: "samples-scroll", tabindex: "0", role: "region", "aria-label": "Pictures of the probes over time" }, h("table", {}, h("thead", {}, head), h("tbody", {}, rows))),
    );
    this.#showLast();
  }

  /** Bring the last look into view, once the pictures have their widths. */
  async #showLast() {
    const scroll = this.element.querySelector(".samples-scroll");
    await Promise.allSettled([...scroll.querySelectorAll("img")].map((image) => image.decode()));
    scroll.scrollLeft = scroll.scrollWidth;
  }

  #row(number, looks, probes) {
    const map = probes[number] ? this.#picture(probes[number], `Map of probe ${number + 1}`) : "–";
    const cells = looks.map(({ step, pictures, scores }) => {
      const score = scores[number] ?? null;
      const words = score === null ? "" : score.toFixed(2);
      return h("td", {}, pictures[number] ? this.#picture(pictures[number], `Probe ${number + 1} at step ${step}`) : "gone", h("span", { class: "samples-score" }, words));
    });
    return h("tr", {}, h("th", { scope: "row" }, map), cells);
  }

  #picture(path, alt) {
    return h("img", { src: this.#app.server.fileUrl(path), alt });
  }
}

/** At most MOST looks, evenly, with the first, the last and the one of the convergence. */
function spread(looks, converged) {
  if (looks.length <= MOST) return looks;
  const places = Array.from({ length: MOST }, (_, index) => Math.round((index * (looks.length - 1)) / (MOST - 1)));
  const special = looks.findIndex(({ step }) => step === converged);
  if (special > 0 && !places.includes(special)) {
    const nearest = places.slice(1, -1).reduce((best, place) => (Math.abs(place - special) < Math.abs(best - special) ? place : best));
    places[places.indexOf(nearest)] = special;
  }
  return [...new Set(places)].sort((one, other) => one - other).map((place) => looks[place]);
}
