/** Where every picture of the library lies: a heading a day, rows of equal tiles. */

const TILE = 152; // px, wide and high
const GAP = 8;
const HEADING = 40;

export class Layout {
  constructor(days, width) {
    this.columns = Math.max(2, Math.floor((width + GAP) / (TILE + GAP)));
    this.side = Math.floor((width + GAP) / this.columns) - GAP;
    this.sections = [];
    let [top, start] = [0, 0];
    for (const [day, count] of days) {
      const height = HEADING + Math.ceil(count / this.columns) * (this.side + GAP);
      this.sections.push({ day, count, start, top, height });
      top += height;
      start += count;
    }
    this.height = top;
    this.count = start;
  }

  /** The section of a picture. */
  sectionOf(index) {
    return this.#last(({ start }) => start <= index);
  }

  /** Left and top of a picture within its section. */
  place(index) {
    const { start } = this.sectionOf(index);
    const [row, column] = [Math.floor((index - start) / this.columns), (index - start) % this.columns];
    return { left: column * (this.side + GAP), top: HEADING + row * (this.side + GAP) };
  }

  /** Top and bottom of a picture in the whole list; the first row brings its heading into view. */
  extent(index) {
    const section = this.sectionOf(index);
    const { top } = this.place(index);
    const isFirstRow = top === HEADING;
    return { top: section.top + (isFirstRow ? 0 : top), bottom: section.top + top + this.side + GAP };
  }

  /** Sections with the first and last of their pictures that lie between two heights. */
  visible(from, to) {
    const found = [];
    const first = Math.max(0, this.sections.indexOf(this.#last(({ top }) => top <= from)));
    for (let place = first; place < this.sections.length && this.sections[place].top < to; place += 1) {
      const section = this.sections[place];
      const row = (height) => Math.floor((height - section.top - HEADING) / (this.side + GAP));
      const low = Math.max(0, row(from)) * this.columns;
      const high = Math.min(section.count, (row(to) + 1) * this.columns) - 1;
      found.push({ section, first: section.start + low, last: section.start + high });
    }
    return found;
  }

  /** The picture above (-1) or below (1) another one. */
  neighbour(index, step) {
    const section = this.sectionOf(index);
    const column = (index - section.start) % this.columns;
    const next = index + step * this.columns;
    if (next >= section.start && next < section.start + section.count) return next;
    const isLastRow = Math.floor((section.count - 1) / this.columns) === Math.floor((index - section.start) / this.columns);
    if (step > 0 && !isLastRow) return section.start + section.count - 1;
    const other = this.sections[this.sections.indexOf(section) + step];
    if (!other) return index;
    const row = step > 0 ? 0 : Math.floor((other.count - 1) / this.columns);
    return other.start + Math.min(row * this.columns + column, other.count - 1);
  }

  #last(fits) {
    let [low, high] = [0, this.sections.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (fits(this.sections[middle])) low = middle;
      else high = middle - 1;
    }
    return this.sections[low];
  }
}
