/** People as the server draws them on a map (annotators/people/sticks.py), on a canvas in frame pixels; and the handles to move them by. */

import { isFound, PARTS } from "./people.js";

const OPENCV = 0.5; // px that OpenCV fills beyond an outline
const FAINT = 0.3; // opacity of what was found with too low a score
const SIDES = 32; // of a limb's outline

/**
 * Draw people over each other, in their order. `skeleton` holds the colours and limbs (state.tables), `parameters` those of the
 * layer's sticks; points with a score below `floor` are faint.
 */
export function drawPeople(context, people, { skeleton, frame, parameters = {}, floor = 0 }) {
  const widths = widthsOf(skeleton, frame, parameters);
  for (const person of people) {
    if (person.isHidden) continue;
    drawBody(context, person.body, skeleton, widths, floor);
    for (const hand of [person.leftHand, person.rightHand]) if (hand) drawHand(context, hand, skeleton, widths, floor);
    if (person.face) drawDots(context, person.face, () => skeleton.face_colour, widths.face, floor);
  }
  context.globalAlpha = 1;
}

/** Half widths and radii in frame pixels. */
function widthsOf(skeleton, { width, height }, { sticks = "usual", stick_width = 0 }) {
  const scale = Math.min(width, height) / 512;
  return {
    stick: stickOf(skeleton.stick_at_512, { width, height }, sticks, stick_width) + OPENCV,
    finger: Math.max(1, Math.round(skeleton.finger_at_512 * scale)),
    knuckle: Math.max(0.75, skeleton.knuckle_at_512 * scale) + OPENCV,
    face: Math.max(0.75, skeleton.face_at_512 * scale) + OPENCV,
  };
}

function stickOf(usual, { width, height }, sticks, stickWidth) {
  if (stickWidth) return stickWidth;
  if (sticks !== "thick") return Math.max(0.75, ((usual + OPENCV) * Math.min(width, height)) / 512 - OPENCV);
  const long = Math.max(width, height);
  return usual * (long < 500 ? 1 : Math.min(2 + Math.floor(long / 1000), 7));
}

function drawBody(context, body, skeleton, widths, floor) {
  skeleton.limbs.forEach(([from, to], index) => {
    if (!isFound(body[from]) || !isFound(body[to])) return;
    context.globalAlpha = Math.min(body[from][2], body[to][2]) < floor ? FAINT : 1;
    context.fillStyle = colour(skeleton.colours[index].map((channel) => Math.floor(channel * skeleton.limb_brightness)));
    fillLimb(context, body[from], body[to], widths.stick);
  });
  drawDots(context, body, (index) => skeleton.colours[index], widths.stick, floor);
}

function fillLimb(context, [fromX, fromY], [toX, toY], halfWidth) {
  const [alongX, alongY] = [(toX - fromX) / 2, (toY - fromY) / 2];
  const length = Math.max(Math.hypot(alongX, alongY), 1e-6);
  context.beginPath();
  for (let side = 0; side < SIDES; side += 1) {
    const [cosine, sine] = [Math.cos((2 * Math.PI * side) / SIDES), (Math.sin((2 * Math.PI * side) / SIDES) * halfWidth) / length];
    context.lineTo((fromX + toX) / 2 + cosine * alongX - sine * alongY, (fromY + toY) / 2 + cosine * alongY + sine * alongX);
  }
  context.fill();
}

function drawHand(context, hand, skeleton, widths, floor) {
  context.lineWidth = widths.finger;
  context.lineCap = "round";
  skeleton.fingers.forEach(([from, to], index) => {
    if (!isFound(hand[from]) || !isFound(hand[to])) return;
    context.globalAlpha = Math.min(hand[from][2], hand[to][2]) < floor ? FAINT : 1;
    context.strokeStyle = colour(skeleton.finger_colours[index]);
    context.beginPath();
    context.moveTo(hand[from][0], hand[from][1]);
    context.lineTo(hand[to][0], hand[to][1]);
    context.stroke();
  });
  drawDots(context, hand, () => skeleton.knuckle_colour, widths.knuckle, floor);
}

function drawDots(context, points, colourOf, radius, floor) {
  points.forEach((point, index) => {
    if (!isFound(point)) return;
    context.globalAlpha = point[2] < floor ? FAINT : 1;
    context.fillStyle = colour(colourOf(index));
    fillCircle(context, point, radius);
  });
}

function fillCircle(context, [x, y], radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}

function colour([red, green, blue]) {
  return `rgb(${red} ${green} ${blue})`;
}

/** Rings around the points that can be moved; those of the chosen person are larger, the chosen point is filled. */
export function drawHandles(context, people, { chosen, zoom }) {
  people.forEach((person, index) => {
    if (person.isHidden) return;
    const isChosen = index === chosen.person;
    for (const { id } of PARTS) {
      if (id !== "body" && !(isChosen && id === chosen.part)) continue;
      const radius = (isChosen && id === "body" ? 5 : 3.5) / zoom;
      person[id]?.forEach((point, place) => {
        if (isFound(point)) drawRing(context, point, radius, zoom, isChosen && id === chosen.part && place === chosen.index);
      });
    }
  });
}

function drawRing(context, point, radius, zoom, isChosen) {
  const size = isChosen ? 1.6 * radius : radius;
  context.beginPath();
  context.arc(point[0], point[1], size, 0, 2 * Math.PI);
  if (isChosen) {
    context.fillStyle = "rgb(45 212 191 / 0.75)";
    context.fill();
  }
  outline(context, zoom);
}

/** The box of what is chosen, with a square at each corner to scale by and a circle to turn by. */
export function drawBox(context, box, handles, zoom, isCoarse) {
  context.beginPath();
  context.setLineDash([6 / zoom, 4 / zoom]);
  context.rect(box.left, box.top, box.right - box.left, box.bottom - box.top);
  const [x, y] = handles.turn;
  context.moveTo(Math.min(Math.max(x, box.left), box.right), Math.min(Math.max(y, box.top), box.bottom));
  context.lineTo(x, y);
  outline(context, zoom);
  context.setLineDash([]);
  const half = (isCoarse ? 9 : 5) / zoom;
  context.fillStyle = "#fff";
  for (const [left, top] of handles.corners) {
    context.beginPath();
    context.rect(left - half, top - half, 2 * half, 2 * half);
    context.fill();
    outline(context, zoom);
  }
  context.beginPath();
  context.arc(x, y, 1.2 * half, 0, 2 * Math.PI);
  context.fill();
  outline(context, zoom);
}

/** White in black, so that it is seen on every ground. */
function outline(context, zoom) {
  context.strokeStyle = "rgb(0 0 0 / 0.8)";
  context.lineWidth = 3 / zoom;
  context.stroke();
  context.strokeStyle = "#fff";
  context.lineWidth = 1.25 / zoom;
  context.stroke();
}
