/** Reordering of cards by a pointer: the card follows it, the others make room, and it is moved where it is dropped. */

const EDGE = 36; // px from the list's scrolling edge within which it scrolls
const SCROLL = 8; // px a move

/** Let a handle drag its item of a list. `begin()` when it starts, `drop(place)` where it ends, counted from 0. */
export function dragBy(handle, item, begin, drop) {
  handle.style.touchAction = "none";
  handle.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    event.preventDefault();
    begin();
    requestAnimationFrame(() => follow(handle, item, event, drop));
  });
}

/** The boxes are read once the open card is closed. */
function follow(handle, item, { clientY: from, pointerId }, drop) {
  const items = [...item.parentElement.children];
  const boxes = items.map((one) => one.getBoundingClientRect());
  const start = items.indexOf(item);
  const ended = new AbortController();
  let place = start;
  handle.setPointerCapture(pointerId);
  item.classList.add("is-dragged");
  const move = ({ clientY }) => {
    const shift = clientY - from;
    place = placeAt(boxes, start, shift);
    items.forEach((one, index) => (one.style.transform = index === start ? `translateY(${shift}px)` : roomFor(boxes, start, place, index)));
    scrollNear(item, clientY);
  };
  const end = (event) => {
    ended.abort();
    item.classList.remove("is-dragged");
    items.forEach((one) => (one.style.transform = ""));
    if (event.type === "pointerup" && place !== start) drop(place);
  };
  handle.addEventListener("pointermove", move, { signal: ended.signal });
  for (const type of ["pointerup", "pointercancel"]) handle.addEventListener(type, end, { signal: ended.signal });
}

/** The place whose item's middle the dragged one has passed. */
function placeAt(boxes, start, shift) {
  const { top, bottom } = boxes[start];
  const passed = (box, index) => (index > start ? bottom + shift > (box.top + box.bottom) / 2 : top + shift < (box.top + box.bottom) / 2);
  const below = boxes.filter((box, index) => index > start && passed(box, index)).length;
  const above = boxes.filter((box, index) => index < start && passed(box, index)).length;
  return start + below - above;
}

function roomFor(boxes, start, place, index) {
  const gap = boxes.length > 1 ? Math.abs(boxes[1].top - boxes[0].bottom) : 0;
  const size = boxes[start].height + gap;
  if (index > start && index <= place) return `translateY(${-size}px)`;
  if (index < start && index >= place) return `translateY(${size}px)`;
  return "";
}

function scrollNear(item, clientY) {
  const outer = item.closest(".desk");
  if (!outer) return;
  const { top, bottom } = outer.getBoundingClientRect();
  if (clientY < top + EDGE) outer.scrollBy(0, -SCROLL);
  else if (clientY > bottom - EDGE) outer.scrollBy(0, SCROLL);
}
