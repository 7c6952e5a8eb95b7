// What the address holds after its #, so that a link shows the same.

/**
 * @typedef {Object} State
 * @property {number} network Its index.
 * @property {string} text The sentence.
 * @property {string | null} other A second sentence to compare it with.
 * @property {string} unit The unit shown, as "layer:unit", both from 0.
 * @property {"unit" | "shown" | "all"} grip Whose gates a hand moves.
 * @property {Map<string, number>} held Numbers by "reading/whose/position"; whose is a unit, shown or all.
 */

/** @type {State["grip"][]} */
const GRIPS = ["unit", "shown", "all"];

/**
 * @param {State} state
 * @param {string[]} names The networks' names.
 * @returns {string} What stands after the #.
 */
export function toAddress(state, names) {
  const query = new URLSearchParams({
    text: state.text,
    network: names[state.network],
    unit: state.unit,
  });
  if (state.other !== null) query.set("other", state.other);
  query.set("grip", state.grip);
  for (const { key, from, to, value } of ranges(state.held)) {
    query.append("hold", `${key}/${from}-${to}/${value}`);
  }
  return query.toString();
}

/**
 * @param {string} address What stands after the #.
 * @param {string[]} names
 * @returns {Partial<State>} What it names; nonsense is passed over.
 */
export function fromAddress(address, names) {
  const query = new URLSearchParams(address);
  /** @type {Partial<State>} */
  const state = {};
  if (query.has("text")) state.text = query.get("text");
  if (query.has("other")) state.other = query.get("other");
  if (names.includes(query.get("network"))) state.network = names.indexOf(query.get("network"));
  if (/^\d+:\d+$/.test(query.get("unit"))) state.unit = query.get("unit");
  const grip = GRIPS.find((name) => name === query.get("grip"));
  if (grip) state.grip = grip;
  const held = new Map();
  for (const text of query.getAll("hold")) {
    const match = /^(write|keep)\/(shown|all|\d+:\d+)\/(\d{1,3})-(\d{1,3})\/([\d.]+)$/.exec(text);
    if (match && Number(match[5]) <= 1) {
      for (let at = Number(match[3]); at <= Number(match[4]); at++) {
        held.set(`${match[1]}/${match[2]}/${at}`, Number(match[5]));
      }
    }
  }
  if (held.size) state.held = held;
  return state;
}

/** Join neighbouring words that are held at the same number. */
function ranges(held) {
  const result = [];
  for (const [name, value] of held) {
    const [reading, whose, position] = name.split("/");
    const at = Number(position);
    const key = `${reading}/${whose}`;
    const last = result.findLast((range) => range.key === key && range.value === value);
    if (last && at === last.to + 1) last.to = at;
    else result.push({ key, from: at, to: at, value });
  }
  return result;
}
