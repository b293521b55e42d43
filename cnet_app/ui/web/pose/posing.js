/** The people of the open layer as they are edited: what is chosen, and every change, saved in the draft as OpenPose's JSON. */

import { newFace, newHand, newPerson, placeOf } from "./figure.js";
import {
  flip,
  foundPoints,
  isFound,
  moved,
  MOST_PEOPLE,
  nameOf,
  PARTS,
  peopleOf,
  poseOf,
  rounded,
  withoutOutside,
  withoutPoint,
  withPerson,
  withPoint,
} from "./people.js";

const DUPLICATE_SHIFT = 24; // px
export const NOTHING = { person: null, part: "body", index: null };

/** Whether the open layer is one of people. */
function isPoseOpen({ tables, draft }) {
  const layer = draft.layers.find(({ id }) => id === draft.open);
  return tables.conditions.some(({ id, kind }) => id === layer?.condition && kind === "pose");
}

/** The open layer's people. `show()` is called when something is to be drawn again, `say(text)` with what a screen reader should read. */
export class Posing {
  chosen = NOTHING;
  people = [];
  isHeld = false; // while a pointer drags, what comes from elsewhere waits
  show = () => {};
  say = () => {};
  #app;
  #read = {};
  #unfollow = null;

  constructor(app) {
    this.#app = app;
  }

  get frame() {
    return this.#app.store.state.frame ?? { width: 512, height: 512, fit: "crop" };
  }

  /** The open layer; undefined where it is none of people. */
  get layer() {
    const { draft } = this.#app.store.state;
    return isPoseOpen(this.#app.store.state) ? draft.layers.find(({ id }) => id === draft.open) : undefined;
  }

  get person() {
    return this.people[this.chosen.person];
  }

  /** The lowest score with which the layer's annotator takes a joint, if it is not told otherwise. */
  get floor() {
    const { tables, maps } = this.#app.store.state;
    const row = tables.conditions.find(({ id }) => id === this.layer?.condition);
    const id = maps[this.layer?.id]?.annotator || this.layer?.annotator || row?.default_annotator;
    return row?.annotators.find((one) => one.id === id)?.parameters.score_threshold?.default ?? 0;
  }

  begin() {
    this.#unfollow = this.#app.store.on(
      ({ draft, maps, frame }) => [draft.layers, draft.open, maps, frame],
      () => this.follow(),
    );
  }

  end() {
    this.#unfollow?.();
  }

  /** Read the people of the layer: its own, or those that its annotator found. */
  follow() {
    if (this.isHeld) return;
    const layer = this.layer;
    const pose = layer?.source === "pose" ? layer.pose : this.#app.store.state.maps[layer?.id]?.data;
    const before = this.#read;
    this.#read = { id: layer?.id, pose: pose?.people ? pose : null, frame: this.frame };
    if (before.id !== this.#read.id) this.chosen = NOTHING;
    if (before.id !== this.#read.id || before.pose !== this.#read.pose || before.frame !== this.#read.frame) {
      this.people = this.#read.pose ? peopleOf(this.#read.pose, this.frame) : [];
    }
    this.#fitChoice();
    this.show();
  }

  /** What was chosen may be gone after an undo. */
  #fitChoice() {
    const person = this.person;
    if (!person || person.isHidden) this.chosen = { ...NOTHING, person: person ? this.chosen.person : null };
    else if (!person[this.chosen.part]) this.chosen = { ...this.chosen, part: "body", index: null };
  }

  /** Save people in the layer, as one step of undo; steps with one key that follow each other quickly are one. */
  save(people, key = null) {
    this.people = people;
    const pose = poseOf(people, this.frame);
    this.#read = { id: this.layer?.id, pose, frame: this.frame };
    if (this.layer) this.#app.drafts.editLayer(this.layer.id, { pose, source: "pose" }, key);
    this.#fitChoice();
    this.show();
  }

  savePerson(person, key = null) {
    this.save(withPerson(this.people, this.chosen.person, person), key);
  }

  // Choosing

  choose(chosen) {
    const part = chosen.part ?? "body";
    this.chosen = { person: chosen.person ?? null, part, index: chosen.index ?? null };
    if (this.chosen.index !== null) this.say(this.describe());
    this.show();
  }

  /** The chosen joint in words. */
  describe() {
    const { person, part, index } = this.chosen;
    const [x, y, score] = this.person[part][index];
    const title = part === "body" ? "" : `${PARTS.find(({ id }) => id === part).title}, `;
    const where = score > 0 ? `x ${Math.round(x)}, y ${Math.round(y)}` : "missing; press Insert to add it";
    return `Person ${person + 1}: ${title}${nameOf(part, index)}, ${where}`;
  }

  bones(part) {
    const { limbs, fingers } = this.#app.store.state.tables.skeleton;
    return { body: limbs, face: [] }[part] ?? fingers;
  }

  // People

  addPerson() {
    if (this.people.length >= MOST_PEOPLE) {
      this.#app.say(`A pose has at most ${MOST_PEOPLE} people; delete one first.`);
      return;
    }
    this.chosen = { ...NOTHING, person: this.people.length };
    this.save([...this.people, newPerson(this.people, this.frame)]);
    this.say(`Person ${this.people.length} is added.`);
  }

  duplicate() {
    if (this.people.length >= MOST_PEOPLE) return;
    const { person } = this.chosen;
    const copy = moved(this.person, (x, y) => [x + DUPLICATE_SHIFT, y]);
    this.chosen = { ...NOTHING, person: person + 1 };
    this.save([...this.people.slice(0, person + 1), copy, ...this.people.slice(person + 1)]);
  }

  remove() {
    const { person } = this.chosen;
    const people = this.people.filter((_, place) => place !== person);
    this.chosen = { ...NOTHING, person: people.length ? Math.min(person, people.length - 1) : null };
    this.save(people);
    this.say(`Person ${person + 1} is deleted.`);
  }

  flip() {
    this.chosen = { ...NOTHING, person: this.chosen.person };
    this.savePerson(flip(this.person));
  }

  toggleHidden(index) {
    this.save(withPerson(this.people, index, { ...this.people[index], isHidden: !this.people[index].isHidden }));
  }

  /** Draw the chosen person earlier (-1) or later (1). */
  reorder(by) {
    const { person } = this.chosen;
    const people = [...this.people];
    [people[person], people[person + by]] = [people[person + by], people[person]];
    this.chosen = { ...this.chosen, person: person + by };
    this.save(people);
  }

  // Parts and joints

  /** Open a part of the chosen person; one that is not there is made first. */
  openPart(part) {
    const person = this.person;
    this.chosen = { ...this.chosen, part, index: null };
    if (person[part]) this.show();
    else this.savePerson({ ...person, [part]: part === "face" ? newFace(person, this.frame) : newHand(person, part, this.frame) });
  }

  removePart() {
    const { part } = this.chosen;
    this.chosen = { ...this.chosen, part: "body", index: null };
    this.savePerson({ ...this.person, [part]: null });
  }

  addPoint(index) {
    const { part } = this.chosen;
    this.chosen = { ...this.chosen, index };
    this.savePerson(this.#withAdded(this.person, part, index));
    this.say(this.describe());
  }

  addMissing() {
    const { part } = this.chosen;
    const add = (person, point, index) => (isFound(point) ? person : this.#withAdded(person, part, index));
    this.savePerson(this.person[part].reduce(add, this.person));
  }

  #withAdded(person, part, index) {
    return withPoint(person, part, index, [...placeOf(person, part, index, this.bones(part), this.frame), 1]);
  }

  removePoint(index) {
    const { part } = this.chosen;
    const person = withoutPoint(this.person, part, index);
    if (!foundPoints(person).length) this.remove();
    else this.savePerson(person);
  }

  /** Put a point of the open part at a place of the frame. */
  placePoint(index, x, y) {
    this.chosen = { ...this.chosen, index };
    this.savePerson(withPoint(this.person, this.chosen.part, index, [...rounded([x, y]), 1]));
  }

  removeOutside() {
    const person = withoutOutside(this.person, this.frame);
    if (!foundPoints(person).length) this.remove();
    else this.savePerson(person);
  }

  // Files

  /** Take the people of a JSON file of any tool. */
  async load(file) {
    await this.#app.attempt(async () => {
      const values = { text: await file.text(), name: file.name, frame: this.frame };
      const { pose, notes } = await this.#app.server.call("pose", values);
      notes.forEach((note) => this.#app.say(note));
      this.chosen = NOTHING;
      this.save(peopleOf(pose, this.frame));
      this.say(pose.people.length === 1 ? "1 person is loaded." : `${pose.people.length} people are loaded.`);
    });
  }

  /** Give the people that are shown as a file. */
  download() {
    const { hidden_people: hidden, ...pose } = poseOf(this.people, this.frame);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify(pose)], { type: "application/json" }));
    link.download = "pose.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    if (hidden) this.#app.say("Hidden people are not in the file; show them first to save them too.");
  }
}
