// An opened gate: what adds up to σ(W·[h, x] + b) at one word, as bars, and one sentence about it.
import { element, number } from "./stage.js";

/** How many units of the state are shown one by one. */
const UNITS = 3;

/**
 * @typedef {import("./network.js").Parts} Parts
 * @typedef {{name: string, value: number}} Part
 */

/**
 * @param {Parts} parts
 * @param {(unit: number) => string} unitName
 * @param {string} inputName
 * @returns {Part[]} The word, the three units of the state that add most, the other units, the bias.
 */
export function mainParts({ input, state, bias }, unitName, inputName) {
  const order = Array.from(state.keys()).sort((a, b) => Math.abs(state[b]) - Math.abs(state[a]));
  const rest = order.slice(UNITS).reduce((sum, unit) => sum + state[unit], 0);
  return [
    { name: inputName, value: input },
    ...order
      .slice(0, UNITS)
      .map((unit) => ({ name: `state of ${unitName(unit)}`, value: state[unit] })),
    ...(order.length > UNITS ? [{ name: "state of the other units", value: rest }] : []),
    { name: "bias (always the same)", value: bias },
  ];
}

/** How far a gate is open, in a word. */
export function openness(gate) {
  const words = [
    [0.1, "shut"],
    [0.35, "nearly shut"],
    [0.65, "half open"],
    [0.9, "mostly open"],
  ];
  return words.find(([limit]) => gate < limit)?.[1] ?? "open";
}

/**
 * One sentence: what opens the gate, and what shuts it.
 * @param {Parts} parts
 * @param {"write" | "keep"} reading
 * @param {string} input What the layer reads, in words.
 * @returns {string}
 */
export function reason({ input: read, state, bias, sum, gate }, reading, input) {
  const memory = state.reduce((total, value) => total + value, 0);
  const causes = [
    { value: read, name: input },
    { value: memory, name: "what the network remembers of the words before" },
    { value: bias, name: "its bias" },
  ].sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  const [cause] = causes.filter(({ value }) => Math.sign(value) === Math.sign(sum));
  const against = causes.find(({ value }) => Math.sign(value) === -Math.sign(sum));
  const how = openness(gate);
  const start = `The ${reading} gate is ${how}`;
  const named = ({ name, value }) => `${name} (${number(value, true)})`;
  if (!cause) return `${start}: nothing moves it.`;
  if (!against) return `${start}, above all because of ${named(cause)}.`;
  if (how === "half open") return `${start}, between ${named(cause)} and ${named(against)}.`;
  const contrary = sum < 0 ? "would open it" : "would shut it";
  return `${start}, because of ${named(cause)}. Alone, ${named(against)} ${contrary}.`;
}

/** A gate with two decimals, or with two digits where it is nearly 0. */
function small(gate) {
  if (gate < 1e-6) return "less than 0.000001";
  return gate < 0.01 ? gate.toFixed(Math.ceil(-Math.log10(gate)) + 1) : gate.toFixed(2);
}

/**
 * Draw the opened gate.
 * @param {HTMLElement} root
 * @param {{title: string, sentence: string, note: string, parts: Part[], sum: number, gate: number, close: () => void}} content
 */
export function drawOpened(root, { title, sentence, note, parts, sum, gate, close }) {
  const largest = Math.max(1, ...parts.map(({ value }) => Math.abs(value)), Math.abs(sum));
  const row = (name, value, className) => {
    const bar = element("i", value < 0 ? "negative" : "positive");
    bar.style.setProperty("--size", String(Math.abs(value) / largest));
    return element(
      "tr",
      className,
      element("th", "", name),
      element("td", "part", bar),
      element("td", "value", number(value, true)),
    );
  };
  const button = element("button", "close", "close");
  button.addEventListener("click", close);
  const table = element(
    "table",
    "",
    ...parts.map(({ name, value }) => row(name, value, "")),
    row("sum, before the sigmoid", sum, "sum"),
  );
  const result = element(
    "p",
    "result",
    `gate = σ(${number(sum)}) = `,
    element("strong", "", small(gate)),
  );
  const head = element("header", "", element("h2", "", title), button);
  root.replaceChildren(
    head,
    element("p", "sentence", sentence),
    table,
    result,
    element("p", "note", note),
  );
}
