/** What of the people lies under a pointer. */

import { boxOf, foundPoints, isFound, PARTS } from "./people.js";

const OPEN_FIRST = 0.5; // of the reach, by which a point of the open part counts as nearer
const CHOSEN_FIRST = 0.25; // and one of the chosen person

/**
 * The nearest thing within `reach` px of a place: {kind: "point", person, part, index, distance}, {kind: "part", person, part} for
 * a hand or face as a whole, {kind: "person", person}, or null. `chosen` is {person, part}; single points of hands and faces are
 * offered in the part that is open alone. `bones` holds the pairs of points of each part that are joined.
 */
export function hitTest(people, place, { reach, chosen = {}, bones }) {
  return (
    hitPoint(people, place, reach, chosen) ??
    hitPart(people, place, reach, chosen, bones) ??
    hitLimb(people, place, reach, bones.body) ??
    hitBox(people, place, chosen)
  );
}

function hitPoint(people, place, reach, chosen) {
  let best = null;
  eachPoint(people, (person, part, index, point) => {
    const isOpen = person === chosen.person && part === chosen.part;
    if (part !== "body" && !isOpen) return;
    const distance = apart(place, point);
    if (distance > reach) return;
    const order = distance - reach * (isOpen && part !== "body" ? OPEN_FIRST : person === chosen.person ? CHOSEN_FIRST : 0);
    if (!best || order < best.order) best = { order, hit: { kind: "point", person, part, index, distance } };
  });
  return best?.hit;
}

function hitPart(people, place, reach, chosen, bones) {
  const box = chosen.part && chosen.part !== "body" && people[chosen.person] && boxOf(foundPoints(people[chosen.person], chosen.part));
  if (box && isInside(place, box)) return { kind: "part", person: chosen.person, part: chosen.part };
  let best = null;
  visible(people, (person, index) => {
    for (const { id } of PARTS) {
      if (id === "body" || !person[id]) continue;
      const distance = Math.min(...foundPoints(person, id).map((point) => apart(place, point)), toBones(place, person[id], bones[id]));
      if (distance <= reach && distance < (best?.distance ?? Infinity)) best = { distance, hit: { kind: "part", person: index, part: id } };
    }
  });
  return best?.hit;
}

function hitLimb(people, place, reach, bones) {
  let best = null;
  visible(people, (person, index) => {
    const distance = toBones(place, person.body, bones);
    if (distance <= reach && distance < (best?.distance ?? Infinity)) best = { distance, hit: { kind: "person", person: index } };
  });
  return best?.hit;
}

/** The chosen person's box, else the smallest one. */
function hitBox(people, place, chosen) {
  let best = null;
  visible(people, (person, index) => {
    const box = boxOf(foundPoints(person));
    if (!box || !isInside(place, box)) return;
    const area = index === chosen.person ? 0 : (box.right - box.left) * (box.bottom - box.top);
    if (area < (best?.area ?? Infinity)) best = { area, hit: { kind: "person", person: index } };
  });
  return best?.hit ?? null;
}

function eachPoint(people, act) {
  visible(people, (person, index) => {
    for (const { id } of PARTS) person[id]?.forEach((point, place) => isFound(point) && act(index, id, place, point));
  });
}

function visible(people, act) {
  people.forEach((person, index) => person.isHidden || act(person, index));
}

function apart({ x, y }, point) {
  return Math.hypot(point[0] - x, point[1] - y);
}

function isInside({ x, y }, { left, top, right, bottom }) {
  return left <= x && x <= right && top <= y && y <= bottom;
}

/** The distance of a place from the nearest of these lines between points that are there. */
function toBones(place, points, bones = []) {
  const there = bones.filter(([from, to]) => isFound(points[from]) && isFound(points[to]));
  return Math.min(Infinity, ...there.map(([from, to]) => toLine(place, points[from], points[to])));
}

function toLine(place, [fromX, fromY], [toX, toY]) {
  const [dx, dy] = [toX - fromX, toY - fromY];
  const along = ((place.x - fromX) * dx + (place.y - fromY) * dy) / Math.max(dx * dx + dy * dy, 1e-9);
  const share = Math.min(Math.max(along, 0), 1);
  return apart(place, [fromX + share * dx, fromY + share * dy]);
}
