/** The seed: random for every run, or locked to a number. */

import { h, iconButton } from "../core/dom.js";

/** Dice, lock, the number, and the last run's seed again. */
export function buildSeed(app) {
  const { minimum, maximum } = app.store.state.tables.limits.request.seed;
  const lock = (value) => app.drafts.edit({ seed: { locked: true, value } }, "seed");
  const unlock = () => app.drafts.edit({ seed: { locked: false, value: null } });
  const last = () => app.store.state.lastSeed;
  const dice = iconButton("dice", "Random seed for every run", unlock);
  const locked = iconButton("lock", "Keep the seed", () => lock(app.store.state.draft.seed.value ?? last() ?? random(maximum)));
  const reuse = iconButton("undo", "Use the last seed again", () => lock(last()));
  const take = () => {
    if (number.value === "" && !number.validity.badInput) return unlock();
    const value = Number(number.value);
    const isSeed = Number.isInteger(value) && value >= minimum && value <= maximum && !number.validity.badInput;
    number.setAttribute("aria-invalid", String(!isSeed));
    if (isSeed) return lock(value);
    return app.store.patch({
      error: `The seed is ${number.value || "no number"}, but it must be a whole number from ${minimum} to ${maximum}.`,
    });
  };
  const number = h("input", { type: "number", id: "seed", "aria-label": "Seed", min: minimum, max: maximum, step: 1, onchange: take });
  app.store.on(
    ({ draft, lastSeed }) => [draft.seed, lastSeed],
    ([seed, lastSeed]) => {
      dice.setAttribute("aria-pressed", String(!seed.locked));
      locked.setAttribute("aria-pressed", String(Boolean(seed.locked)));
      reuse.disabled = lastSeed === null || lastSeed === undefined || (seed.locked && seed.value === lastSeed);
      number.value = seed.locked ? (seed.value ?? "") : "";
      number.placeholder = lastSeed === null || lastSeed === undefined ? "Random seed" : `Last: ${lastSeed}`;
    },
  );
  return h("div", { class: "seed", role: "group", "aria-label": "Seed" }, dice, locked, number, reuse);
}

function random(maximum) {
  return Math.floor(Math.random() * (maximum + 1));
}
