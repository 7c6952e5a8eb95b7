// One sentence on the page: a column for each word, with gates to take hold of, the memory and the answer.

/**
 * @typedef {import("./tokens.js").Word} Word
 * @typedef {import("./cells.js").Reading} Reading
 * @typedef {Object} Column What a column shows.
 * @property {Word} word
 * @property {number} letters Letters that it has room for.
 * @property {string | undefined} swapped The noun in its other number.
 * @property {Partial<Record<Reading, number>>} gates
 * @property {Partial<Record<Reading, boolean>>} held Which are held by hand.
 * @property {number} memory
 * @property {number} scale What fills the memory's bar.
 * @property {"one" | "many" | ""} leaning Which answer the memory speaks for.
 * @property {number} p The probability of the second answer.
 * @property {[string, string]} answers
 * @property {boolean} selected
 * @property {boolean} ahead Whether the play has not come to it yet.
 * @property {boolean} current
 * @property {Reading | undefined} opened
 *
 * @typedef {Object} Hands What a stage reports.
 * @property {(at: number, reading: Reading, value: number) => void} hold
 * @property {(at: number, reading: Reading) => void} release
 * @property {(at: number, reading: Reading) => void} open
 * @property {(at: number) => void} swap
 * @property {(at: number, extend: boolean) => void} select
 * @property {(at: number | null) => void} hover
 */

/** @type {Reading[]} */
export const READINGS = ["write", "keep"];

/** Pixels that a pointer moves before a press on a gate is a drag, and not a click that opens it. */
const DRAG = 4;

/**
 * @param {string} tag
 * @param {string} className
 * @param {...(Node | string)} children
 * @returns {HTMLElement}
 */
export function element(tag, className, ...children) {
  const made = document.createElement(tag);
  made.className = className;
  if (tag === "button") made.setAttribute("type", "button");
  made.append(...children);
  return made;
}

/** A number with two decimals, a true minus sign and, where asked, a plus. */
export function number(value, signed = false) {
  const text = value.toFixed(2).replace("-0.00", "0.00").replace("-", "−");
  return signed && value > 0 && text !== "0.00" ? `+${text}` : text;
}

export class Stage {
  /**
   * @param {HTMLElement} root
   * @param {Hands} hands
   */
  constructor(root, hands) {
    this.root = root;
    this.hands = hands;
    this.columns = [];
    root.addEventListener("pointerleave", () => hands.hover(null));
  }

  /** @param {Column[]} columns */
  draw(columns) {
    while (this.columns.length > columns.length) this.columns.pop().root.remove();
    while (this.columns.length < columns.length) this.#add(this.columns.length);
    for (const [at, column] of columns.entries()) this.#update(this.columns[at], column);
  }

  #add(at) {
    const { hands } = this;
    const name = element("button", "name");
    name.addEventListener("pointerdown", (event) => {
      name.releasePointerCapture(event.pointerId);
      hands.select(at, event.shiftKey);
    });
    name.addEventListener("pointerenter", (event) => event.buttons & 1 && hands.select(at, true));
    name.addEventListener(
      "click",
      (event) => event.detail === 0 && hands.select(at, event.shiftKey),
    );
    const read = element("span", "read");
    const swap = element("button", "swap");
    swap.addEventListener("click", () => hands.swap(at));
    const gates = Object.fromEntries(READINGS.map((reading) => [reading, this.#gate(at, reading)]));
    const memory = meter("memory");
    const answer = meter("answer");
    const head = element("div", "head", name, read, swap);
    const root = element(
      "div",
      "word",
      head,
      gates.write.root,
      gates.keep.root,
      memory.root,
      answer.root,
    );
    root.setAttribute("role", "group");
    root.addEventListener("pointerenter", () => hands.hover(at));
    root.addEventListener("focusin", () => hands.hover(at));
    this.columns.push({ root, name, read, swap, gates, memory, answer });
    this.root.append(root);
  }

  #gate(at, reading) {
    const { hands } = this;
    const gate = meter(`gate ${reading}`);
    const bar = gate.root;
    bar.tabIndex = 0;
    bar.setAttribute("role", "slider");
    bar.setAttribute("aria-valuemin", "0");
    bar.setAttribute("aria-valuemax", "1");
    let start = null;
    const pull = (event) => {
      const { left, bottom, width, height } = gate.track.getBoundingClientRect();
      const upright = getComputedStyle(gate.track).getPropertyValue("--upright").trim() === "1";
      const value = upright ? (bottom - event.clientY) / height : (event.clientX - left) / width;
      hands.hold(at, reading, Math.round(100 * Math.min(1, Math.max(0, value))) / 100);
    };
    bar.addEventListener("pointerdown", (event) => {
      start = { x: event.clientX, y: event.clientY, dragged: false };
      bar.setPointerCapture(event.pointerId);
    });
    bar.addEventListener("pointermove", (event) => {
      if (!start) return;
      start.dragged ||= Math.hypot(event.clientX - start.x, event.clientY - start.y) > DRAG;
      if (start.dragged) pull(event);
    });
    bar.addEventListener("pointerup", () => {
      if (start && !start.dragged) hands.open(at, reading);
      start = null;
    });
    bar.addEventListener("pointercancel", () => (start = null));
    bar.addEventListener("keydown", (event) => {
      const now = Number(bar.getAttribute("aria-valuenow"));
      const to = {
        ArrowUp: now + 0.05,
        ArrowRight: now + 0.05,
        ArrowDown: now - 0.05,
        ArrowLeft: now - 0.05,
        Home: 0,
        End: 1,
      }[event.key];
      if (to !== undefined)
        hands.hold(at, reading, Math.round(100 * Math.min(1, Math.max(0, to))) / 100);
      else if (event.key === "Enter" || event.key === " ") hands.open(at, reading);
      else if (event.key === "Delete" || event.key === "Backspace") hands.release(at, reading);
      else return;
      event.preventDefault();
    });
    return gate;
  }

  #update(parts, column) {
    const { word } = column;
    parts.root.style.setProperty("--letters", String(column.letters));
    parts.root.classList.toggle("selected", column.selected);
    parts.root.classList.toggle("ahead", column.ahead);
    parts.root.classList.toggle("current", column.current);
    parts.name.textContent = word.text;
    parts.name.setAttribute("aria-pressed", String(column.selected));
    parts.root.setAttribute("aria-label", word.text);
    parts.read.textContent = {
      known: "",
      tag: `read as ${kind(word.read)}`,
      unknown: "unknown",
    }[word.how];
    parts.read.title =
      word.how === "tag" ? `The network has no such word. It reads ${word.read}.` : "";
    parts.swap.hidden = column.swapped === undefined;
    parts.swap.textContent = `⇄ ${column.swapped ?? ""}`;
    parts.swap.setAttribute("aria-label", `compare with ${column.swapped ?? ""}`);
    for (const reading of READINGS) {
      const value = column.gates[reading];
      const gate = parts.gates[reading];
      gate.root.hidden = value === undefined;
      if (value === undefined) continue;
      gate.root.classList.toggle("held", Boolean(column.held[reading]));
      gate.root.classList.toggle("opened", column.opened === reading);
      gate.root.setAttribute("aria-valuenow", value.toFixed(2));
      gate.root.setAttribute(
        "aria-label",
        `${reading} at ${word.text}${column.held[reading] ? ", held by hand" : ""}; Enter opens it`,
      );
      fill(gate, 0, column.ahead ? 0 : value, number(value));
    }
    const half = Math.max(-1, Math.min(1, column.memory / column.scale)) / 2;
    fill(parts.memory, 0.5, column.ahead ? 0 : half, number(column.memory, true));
    parts.memory.root.dataset.leaning = column.leaning;
    const many = column.p > 0.5;
    const percent = `${Math.round(100 * Math.max(column.p, 1 - column.p))}%`;
    fill(parts.answer, 0, 1 - column.p, percent, column.answers[many ? 1 : 0]);
    parts.answer.root.dataset.leaning = many ? "many" : "one";
  }
}

/** What the tags of the Penn Treebank that stand for most rare words mean. */
const KINDS = {
  NN: "a singular noun",
  NNS: "a plural noun",
  NNP: "a name",
  NNPS: "a plural name",
  JJ: "an adjective",
  RB: "an adverb",
  CD: "a number",
  VB: "a verb",
  VBD: "a verb in the past",
  VBG: "a verb in -ing",
  VBN: "a participle",
  VBP: "a plural verb",
  VBZ: "a singular verb",
};

function kind(tag) {
  return KINDS[tag] ?? `the tag ${tag}`;
}

/** A bar in a track, and its number. */
function meter(className) {
  const bar = element("i", "");
  const track = element("div", "track", bar);
  const text = element("b", "");
  return { root: element("div", `meter ${className}`, track, text), track, bar, text };
}

/** Fill a bar from a point of the track; what stands beneath is drawn by CSS from custom properties. */
function fill({ bar, text }, from, length, ...lines) {
  bar.style.setProperty("--from", String(Math.min(from, from + length)));
  bar.style.setProperty("--length", String(Math.abs(length)));
  text.replaceChildren(...lines.map((line) => element("span", "", line)));
}
