/** The pose editor: a tool of the stage that moves people's joints. */

import { hitTest } from "./hits.js";
import { buildPosePanel } from "./pose_panel.js";
import { boxOf, foundPoints, isFound, moved, movePoint, PARTS, pointsBeyond, turning, withPerson } from "./people.js";
import { NOTHING, Posing } from "./posing.js";
import { drawBox, drawHandles, drawPeople } from "./skeleton.js";

const REACH = { mouse: 10, pen: 14, touch: 24 }; // screen px around a joint in which it is taken
const CLICK = 3; // screen px that a pointer may move in a click
const AROUND = 16; // screen px between people and their box
const AROUND_COARSE = 28;
const TURN_APART = 30; // screen px from the box to the circle to turn by
const EDGE = 8; // screen px from what hides a handle
const SNAP = Math.PI / 12;
const SMALLEST = 0.05; // scale
const NUDGE = 1; // px
const FAR_NUDGE = 10;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** The tool for a layer of a condition that is a pose. */
export function poseTool(app) {
  return new PoseTool(app);
}

class PoseTool {
  id = "pose";
  hint = "Drag joints, limbs or the box; with Shift, all beyond a joint. Keys: , and . choose a joint, arrows move it.";
  cursor = "default";
  #app;
  #work;
  #stage = null;
  #panel = null;
  #drag = null;
  #photoOpacity = 0.6;

  constructor(app) {
    this.#app = app;
    this.#work = new Posing(app);
  }

  begin(stage) {
    this.#stage = stage;
    this.#panel = buildPosePanel(this.#work, { opacity: this.#photoOpacity, setOpacity: (value) => this.#setOpacity(value) });
    this.#work.say = (text) => this.#panel.say(text);
    this.#work.show = () => {
      this.#panel.update();
      stage.redraw();
    };
    this.#work.begin();
    this.#app.show("photo");
  }

  end() {
    this.#cancel();
    this.#work.end();
    if (this.#app.store.state.view === "photo") this.#app.show("map");
  }

  panel() {
    return this.#panel.element;
  }

  #setOpacity(value) {
    this.#photoOpacity = value;
    this.#stage.redraw();
  }

  // Pointer

  pointer(event) {
    if (!this.#work.layer) return;
    if (event.type === "down") this.#down(event);
    else if (event.type === "move") this.#move(event);
    else if (event.type === "up") this.#up();
    else this.#cancel();
  }

  #down(event) {
    const zoom = this.#stage.place.zoom;
    const reach = REACH[event.kind] / zoom;
    const hit = this.#hit(event, reach);
    const handle = this.#handleAt(event, hit?.kind === "point" ? Math.min(reach, hit.distance) : reach);
    if (!handle && !hit) {
      this.#work.choose(NOTHING);
      return;
    }
    if (!handle) this.#chooseHit(hit);
    const { person, part, index } = this.#work.chosen;
    this.#work.isHeld = true;
    this.#drag = { handle, hit, from: event, before: this.#work.people, person, part, index, zoom, isMoved: false };
  }

  #hit(event, reach) {
    const bones = Object.fromEntries(PARTS.map(({ id }) => [id, this.#work.bones(id)]));
    return hitTest(this.#work.people, event, { reach, chosen: this.#work.chosen, bones });
  }

  #chooseHit({ kind, person, part, index }) {
    if (kind === "point") this.#work.choose({ person, part, index });
    else if (person !== this.#work.chosen.person) this.#work.choose({ person });
    else if (kind === "person") this.#work.choose({ person });
  }

  #move(event) {
    if (!this.#drag) return;
    const { before, from, person, zoom } = this.#drag;
    this.#drag.isMoved ||= Math.hypot(event.x - from.x, event.y - from.y) * zoom > CLICK;
    if (!this.#drag.isMoved) return;
    this.#work.people = withPerson(before, person, this.#dragged(before[person], event));
    this.#stage.redraw();
  }

  /** The dragged person as the pointer has it now. */
  #dragged(person, { x, y, shift, alt }) {
    const { handle, hit, from, part } = this.#drag;
    const [dx, dy] = [x - from.x, y - from.y];
    if (handle) return this.#transformed(person, handle, { x, y, shift });
    if (hit.kind !== "point") return moved(person, (left, top) => [left + dx, top + dy], hit.kind === "part" ? hit.part : null);
    const beyond = shift ? pointsBeyond(this.#work.bones(part), hit.index) : undefined;
    return movePoint(person, part, hit.index, dx, dy, { beyond, isAlone: alt });
  }

  #transformed(person, handle, { x, y, shift }) {
    const { from, part } = this.#drag;
    const middle = this.#middle(person, part);
    const apart = (place) => Math.hypot(place.x - middle.x, place.y - middle.y);
    const angle = (place) => Math.atan2(place.y - middle.y, place.x - middle.x);
    const only = part === "body" ? null : part;
    if (handle === "scale") return moved(person, turning(middle, 0, Math.max(SMALLEST, apart({ x, y }) / Math.max(apart(from), 1e-6))), only);
    const turn = angle({ x, y }) - angle(from);
    return moved(person, turning(middle, shift ? Math.round(turn / SNAP) * SNAP : turn), only);
  }

  /** A hand turns around its wrist, all else around the middle of its box. */
  #middle(person, part) {
    const wrist = part.endsWith("Hand") && person[part][0];
    return wrist && isFound(wrist) ? { x: wrist[0], y: wrist[1] } : this.#box(person, part, 0);
  }

  #up() {
    const drag = this.#drag;
    this.#drag = null;
    this.#work.isHeld = false;
    if (!drag) return;
    if (!drag.isMoved) this.#click(drag);
    else {
      this.#work.save(this.#work.people);
      if (!drag.handle && drag.hit.kind === "point") this.#work.say(this.#work.describe());
    }
  }

  /** A click on a hand or face opens it. */
  #click({ handle, hit }) {
    if (!handle && hit.kind === "part") this.#work.choose({ person: hit.person, part: hit.part });
    this.#work.follow();
  }

  #cancel() {
    if (!this.#drag) return;
    this.#work.people = this.#drag.before;
    this.#work.isHeld = false;
    this.#drag = null;
    this.#work.follow();
  }

  // Keys

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.#work.people.length) return false;
    const taken = this.#takeKey(event);
    if (taken) event.stopPropagation();
    return taken;
  }

  #takeKey({ key, shiftKey }) {
    if ([",", "p", "P"].includes(key)) return this.#walk(-1);
    if ([".", "n", "N"].includes(key)) return this.#walk(1);
    if (key === "PageUp" || key === "PageDown") return this.#walkPeople(key === "PageUp" ? -1 : 1);
    const { index, part } = this.#work.chosen;
    if (index === null || !this.#work.person) return false;
    const isThere = isFound(this.#work.person[part][index]);
    if (key in ARROWS && isThere) return this.#nudge(...ARROWS[key].map((step) => step * (shiftKey ? FAR_NUDGE : NUDGE)));
    if ((key === "Delete" || key === "Backspace") && isThere) this.#work.removePoint(index);
    else if (key === "Insert" && !isThere) this.#work.addPoint(index);
    else return false;
    return true;
  }

  #walk(step) {
    const shown = this.#work.people.findIndex(({ isHidden }) => !isHidden);
    const start = this.#work.person && !this.#work.person.isHidden ? this.#work.chosen : { ...NOTHING, person: shown };
    if (start.person < 0) return false;
    const count = this.#work.people[start.person][start.part].length;
    const next = start.index === null ? (step > 0 ? 0 : count - 1) : (start.index + step + count) % count;
    this.#work.choose({ ...start, index: next });
    return true;
  }

  #walkPeople(step) {
    const count = this.#work.people.length;
    const next = this.#work.chosen.person === null ? 0 : (this.#work.chosen.person + step + count) % count;
    this.#work.choose({ person: next });
    this.#work.say(`Person ${next + 1} of ${count}`);
    return true;
  }

  #nudge(dx, dy) {
    const { part, index } = this.#work.chosen;
    this.#work.savePerson(movePoint(this.#work.person, part, index, dx, dy), `nudge ${this.#work.chosen.person} ${part} ${index}`);
    this.#work.say(this.#work.describe());
    return true;
  }

  // Drawing

  /** Draw people over the photo; over the server's own map only handles, and while it is out of date. */
  paint(context) {
    const { view, tables } = this.#app.store.state;
    if (!this.#work.layer || view === "result" || view === "compare") return;
    const { frame } = this.#work;
    const zoom = this.#stage.place.zoom;
    if (view === "photo" || this.#drag?.isMoved) {
      this.#shade(context);
      drawPeople(context, this.#work.people, { skeleton: tables.skeleton, frame, parameters: this.#work.layer.parameters, floor: this.#work.floor });
    }
    drawHandles(context, this.#work.people, { chosen: this.#work.chosen, zoom });
    const box = this.#chosenBox();
    if (box) drawBox(context, box, this.#handles(box), zoom, isCoarse());
  }

  #shade(context) {
    context.fillStyle = `rgb(0 0 0 / ${this.#stage.photo ? 1 - this.#photoOpacity : 1})`;
    context.fillRect(0, 0, this.#work.frame.width, this.#work.frame.height);
  }

  #chosenBox() {
    const person = this.#work.person;
    return person && !person.isHidden ? this.#box(person, this.#work.chosen.part, (isCoarse() ? AROUND_COARSE : AROUND) / this.#stage.place.zoom) : null;
  }

  /** The box of a person, or of the hand or face that is open, and so much around it. */
  #box(person, part, around) {
    const box = boxOf(foundPoints(person, part === "body" ? null : part));
    if (!box) return null;
    return { ...box, left: box.left - around, right: box.right + around, top: box.top - around, bottom: box.bottom + around };
  }

  /** Corners to scale by, and the place to turn by: above the box, or at another side where that is out of sight. */
  #handles({ left, top, right, bottom, x, y }) {
    const apart = TURN_APART / this.#stage.place.zoom;
    const sides = [[x, top - apart], [right + apart, y], [left - apart, y], [x, bottom + apart]]; // prettier-ignore
    const turn = sides.find((place) => this.#isInSight(place)) ?? sides[0];
    return { corners: [[left, top], [right, top], [left, bottom], [right, bottom]], turn }; // prettier-ignore
  }

  /** Whether a place of the frame is on the canvas and not below the panel. */
  #isInSight([x, y]) {
    const { place, canvas, panel } = this.#stage;
    const [across, down] = [place.x + x * place.zoom, place.y + y * place.zoom];
    const isOn = ({ left, top, right, bottom }, margin) =>
      across > left + margin && across < right - margin && down > top + margin && down < bottom - margin;
    const { offsetLeft: left, offsetTop: top, offsetWidth, offsetHeight } = panel;
    const covered = { left, top, right: left + offsetWidth, bottom: top + offsetHeight };
    return isOn({ left: 0, top: 0, right: canvas.clientWidth, bottom: canvas.clientHeight }, EDGE) && !isOn(covered, -EDGE);
  }

  #handleAt({ x, y }, reach) {
    const box = this.#chosenBox();
    if (!box) return null;
    const isNear = ([left, top]) => Math.hypot(left - x, top - y) <= reach;
    const { corners, turn } = this.#handles(box);
    return isNear(turn) ? "turn" : corners.some(isNear) ? "scale" : null;
  }
}

/** Whether the main pointer is a finger. */
function isCoarse() {
  return matchMedia("(pointer: coarse)").matches;
}
