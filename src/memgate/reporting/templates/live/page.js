// The page: its state, what a person does, and what is drawn of it.
import { Network } from "./network.js";
import { drawOpened, mainParts, openness, reason } from "./opened.js";
import { fromAddress, toAddress } from "./share.js";
import { element, number, READINGS, Stage } from "./stage.js";
import { tokenizer, Vocabulary } from "./tokens.js";

/** @typedef {import("./share.js").State} State */

/** Milliseconds that a word stays while the sentence plays. */
const PACE = 650;

const content = JSON.parse(document.getElementById("content").textContent);
const networks = content.networks.map((network) => new Network(network));
const vocabularies = content.vocabularies.map((vocabulary) => new Vocabulary(vocabulary));
const tokens = tokenizer(content.pattern);
const names = networks.map((network) => network.name);
/** @type {(id: string) => any} */
const $ = (id) => document.getElementById(id);
/** @type {(name: string) => NodeListOf<HTMLInputElement>} */
const radios = (name) => document.querySelectorAll(`input[name=${name}]`);

/** @type {State} */
const state = {
  network: 0,
  text: content.sentences[0],
  other: null,
  unit: "",
  grip: "shown",
  held: new Map(),
};
/** What a link doesn't hold: the word that the play is at, words chosen by hand, the word under the pointer, the opened gate. */
const view = { at: Infinity, chosen: null, anchor: null, hover: null, opened: null };

const stages = [0, 1].map(
  (sentence) =>
    new Stage($(`stage${sentence}`), {
      hold: (at, reading, value) => {
        const [from, to] =
          view.chosen && view.chosen[0] <= at && at <= view.chosen[1] ? view.chosen : [at, at];
        hold(from, to, { [reading]: value });
      },
      release: (at) => release(at, at),
      open: (at, reading) => {
        const same =
          view.opened &&
          view.opened.sentence === sentence &&
          view.opened.at === at &&
          view.opened.reading === reading;
        view.opened = same ? null : { sentence, at, reading };
        draw();
        if (!same) $("opened").scrollIntoView({ block: "nearest", behavior: "smooth" });
      },
      swap: (at) => swap(sentence, at),
      select: (at, extend) => {
        view.anchor = extend ? (view.anchor ?? at) : at;
        view.chosen = [Math.min(view.anchor, at), Math.max(view.anchor, at)];
        draw();
      },
      hover: (at) => {
        view.hover = at === null ? null : { sentence, at };
        drawStatus();
      },
    }),
);

/** @type {{play?: number, address?: number}} */
const timers = {};

/** What is computed of the state: the words and the run of each sentence, drawn and read below. */
let readings = [];

function network() {
  return networks[state.network];
}

function vocabulary() {
  return vocabularies[network().vocabulary];
}

/** A sentence as the network reads it, with the gates that are held. */
function readSentence(text) {
  const words = vocabulary().read(tokens(text));
  const ids = words.map((word) => word.id);
  return { words, run: network().run(ids, heldGates(words.length)), subject: subjectOf(words) };
}

/** The first noun: where the default range of words begins. */
function subjectOf(words) {
  return words.findIndex(
    (word) => vocabulary().swapped(word) !== undefined || /^NNS?$/.test(word.read),
  );
}

/** The units that "shown", "all" or a unit's own name stand for. */
function unitsOf(whose) {
  if (whose === "shown") return network().units;
  if (whose !== "all") return [whose.split(":").map(Number)];
  const { layers, size } = network();
  return Array.from({ length: layers * size }, (_, index) => [
    Math.floor(index / size),
    index % size,
  ]);
}

/** All gates that are held, those of fewer units last, for they count. */
function heldGates(length) {
  if (!network().equations.readings.write) return [];
  const order = { all: 0, shown: 1 };
  return Array.from(state.held, ([key, value]) => [...key.split("/"), value])
    .filter(([, , at]) => Number(at) < length)
    .sort(([, a], [, b]) => (order[a] ?? 2) - (order[b] ?? 2))
    .flatMap(([reading, whose, at, value]) =>
      unitsOf(whose).map(([layer, unit]) => ({ reading, layer, unit, time: Number(at), value })),
    );
}

/** Hold gates of the words from one to another, of the units that the hand has hold of. */
function hold(from, to, values) {
  const whose = state.grip === "unit" ? state.unit : state.grip;
  const covered = new Set([
    whose,
    ...unitsOf(whose).map((unit) => unit.join(":")),
    ...(whose === "all" ? ["shown"] : []),
  ]);
  const { write, keep } = network().equations.readings;
  const isOneGate = write.gate === keep.gate;
  for (let at = from; at <= to; at++) {
    for (const key of [...state.held.keys()]) {
      const [reading, name, position] = key.split("/");
      const replaced = covered.has(name) && (isOneGate || reading in values);
      if (Number(position) === at && replaced) state.held.delete(key);
    }
    for (const [reading, value] of Object.entries(values))
      state.held.set(`${reading}/${whose}/${at}`, value);
  }
  changed();
}

function release(from, to) {
  for (const key of [...state.held.keys()]) {
    const at = Number(key.split("/")[2]);
    if (from <= at && at <= to) state.held.delete(key);
  }
  changed();
}

/**
 * The words that the buttons act on: those chosen by hand, else all after the first noun.
 * @returns {[number, number]}
 */
function range() {
  const { words, subject } = readings[0];
  const [from, to] = view.chosen ?? [subject + 1, words.length - 1];
  return [Math.max(0, Math.min(from, words.length - 1)), Math.min(to, words.length - 1)];
}

/** Show a sentence beside the same with a noun in its other number; the same click again ends it. */
function swap(sentence, at) {
  const text = sentence === 0 ? state.text : state.other;
  const changedText = withWord(text, at, vocabulary().swapped(readings[sentence].words[at]));
  if (sentence === 0) state.other = changedText === state.other ? null : changedText;
  else if (changedText === state.text) state.other = null;
  else state.other = changedText;
  changed();
}

/** A text with one of its tokens replaced. */
function withWord(text, at, word) {
  const all = tokens(text);
  let start = 0;
  for (const token of all.slice(0, at)) start = text.indexOf(token, start) + token.length;
  start = text.indexOf(all[at], start);
  return text.slice(0, start) + word + text.slice(start + all[at].length);
}

/** Compute and draw what follows from the state, and put it into the address. */
function changed() {
  const texts = state.other === null ? [state.text] : [state.text, state.other];
  readings = texts.map(readSentence);
  draw();
  clearTimeout(timers.address);
  timers.address = setTimeout(remember, 250);
}

/** An address that can't be changed, as in MLflow's frame, stays. */
function remember() {
  try {
    history.replaceState(null, "", `#${toAddress(state, names)}`);
  } catch {
    $("share").hidden = true;
  }
}

function unitName(layer, unit) {
  return `unit ${unit + 1}${network().layers > 1 ? ` of layer ${layer + 1}` : ""}`;
}

function draw() {
  const [layer, unit] = state.unit.split(":").map(Number);
  const hasGates = Boolean(network().equations.readings.write);
  const last = readings[0].words.length - 1;
  view.at = Math.min(view.at, last);
  const memories = readings.flatMap(({ run }) =>
    run.layers[layer].memory.map((memory) => Math.abs(memory[unit])),
  );
  const scale = Math.max(1, ...memories);
  const marks = new Map(
    heldGates(Infinity)
      .filter((h) => h.layer === layer && h.unit === unit)
      .map((h) => [`${h.reading}/${h.time}`, true]),
  );
  const selection = range();
  document.body.classList.toggle("gateless", !hasGates);
  document.body.classList.toggle("two-gates", network().cell === "lstm");
  $("second").hidden = readings.length < 2;
  readings.forEach(({ words, run }, sentence) => {
    stages[sentence].draw(
      words.map((word, at) => ({
        word,
        letters: Math.max(...readings.map(({ words: others }) => lettersOf(others[at]))),
        swapped: vocabulary().swapped(word),
        gates: Object.fromEntries(
          shownReadings().map((name) => [name, network().reading(run, name, layer, unit, at)]),
        ),
        held: { write: marks.has(`write/${at}`), keep: marks.has(`keep/${at}`) },
        memory: run.layers[layer].memory[at][unit],
        scale,
        leaning: leaning(run, layer, unit, at),
        p: run.p[at],
        answers: network().answers,
        selected: hasGates && selection[0] <= at && at <= selection[1],
        ahead: at > view.at && view.at < last,
        current: view.at < last && at === view.at,
        opened:
          view.opened?.sentence === sentence && view.opened.at === at
            ? view.opened.reading
            : undefined,
      })),
    );
  });
  drawControls(selection);
  drawStatus();
  drawAnswers();
  drawOpenedGate();
}

/** Letters of a column: those of its word, or of the smaller ones on the button below it. */
function lettersOf(word) {
  if (!word) return 0;
  return Math.max(word.text.length, 0.8 * (vocabulary().swapped(word)?.length ?? 0) + 2);
}

/** A GRU has one gate, whose keep is 1 less its write: one bar shows both. */
function shownReadings() {
  return { rnn: [], gru: ["write"], lstm: READINGS }[network().cell];
}

/** Which answer a unit of the top layer speaks for. */
function leaning(run, layer, unit, at) {
  if (layer < network().layers - 1) return "";
  const value = network().weights["readout.weight"][unit] * run.layers[layer].hidden[at][unit];
  return value > 0 ? "many" : "one";
}

function drawAnswers() {
  for (const [sentence, { words, run }] of readings.entries()) {
    const at = Math.min(view.at, words.length - 1);
    const box = $(`answer${sentence}`);
    box.replaceChildren();
    if (at < 0) continue;
    const p = run.p[at];
    const [one, many] = network().answers;
    const choice = (text, probability, kind) => {
      const line = element("span", `choice ${kind}${probability > 0.5 ? " wins" : ""}`);
      const ending = text.startsWith(many) && text !== many ? text.slice(many.length) : "";
      line.append(
        text.slice(0, text.length - ending.length),
        element("u", "", ending),
        " ",
        element("b", "", `${(100 * probability).toFixed(1)}%`),
      );
      return line;
    };
    box.replaceChildren(
      element("span", "dots", "… "),
      choice(one, 1 - p, "one"),
      choice(many, p, "many"),
    );
    if (state.held.size === 0 || shownReadings().length === 0) continue;
    const trained = network().run(words.slice(0, at + 1).map((word) => word.id)).p[at];
    const answer = trained > 0.5 ? many : one;
    const percent = (100 * Math.max(trained, 1 - trained)).toFixed(1);
    box.append(element("span", "by-itself", `as trained: ${answer} ${percent}%`));
  }
}

/** One sentence about the word under the pointer, else the word that the play is at. */
function drawStatus() {
  const { sentence, at } = view.hover ?? { sentence: 0, at: view.at };
  const reading = readings[sentence];
  if (!reading?.words[at]) {
    $("status").textContent = "Type a sentence up to its verb.";
    return;
  }
  const [layer, unit] = state.unit.split(":").map(Number);
  const { words, run } = reading;
  const memory = run.layers[layer].memory;
  const change = memory[at][unit] - (at ? memory[at - 1][unit] : 0);
  const name = unitName(layer, unit);
  const answer = network().answers[run.p[at] > 0.5 ? 1 : 0];
  const percent = Math.round(100 * Math.max(run.p[at], 1 - run.p[at]));
  const ends = `If the sentence ended here: ${answer}, ${percent}%.`;
  const verb = Math.abs(change) < 0.05 ? "stays at" : "goes to";
  const moved = `${verb} ${number(memory[at][unit], true)}`;
  let gate = `the memory of ${name} ${moved}. An RNN has no gate: every word writes all of it anew.`;
  if (shownReadings().length) {
    const write = network().reading(run, "write", layer, unit, at);
    const which = network().cell === "lstm" ? "write gate" : "gate";
    gate = `the ${which} of ${name} is ${openness(write)} (${number(write)}), and its memory ${moved}.`;
  }
  $("status").textContent = `At “${words[at].text}” ${gate} ${ends}`;
}

function drawOpenedGate() {
  const root = $("opened");
  const { sentence, at, reading } = view.opened ?? {};
  const shown = readings[sentence];
  root.hidden = !(shown?.words[at] && shownReadings().includes(reading));
  if (root.hidden) return;
  const [layer, unit] = state.unit.split(":").map(Number);
  const { words, run } = shown;
  const parts = network().partsOf(run, reading, layer, unit, at);
  const word = words[at].text;
  const now = network().reading(run, reading, layer, unit, at);
  const input = layer ? "the layer below" : `the word “${word}”`;
  const isHeld = Math.abs(now - parts.gate) > 1e-6;
  const held = isHeld
    ? ` You hold it at ${number(now)}; by itself it would be at ${number(parts.gate)}.`
    : "";
  const sign =
    network().cell === "gru"
      ? " torch's z keeps, so its numbers are these with the other sign; Ng's Γu has these."
      : "";
  drawOpened(root, {
    title: `Inside the ${reading} gate of ${unitName(layer, unit)} at “${word}”`,
    sentence: reason(parts, reading, input) + held,
    note: `Each bar is a weight times a number: what it adds to the sum. Above 0 opens the gate, below 0 shuts it.${sign}`,
    parts: mainParts(parts, (other) => unitName(layer, other), input),
    sum: parts.sum,
    gate: parts.gate,
    close: () => {
      view.opened = null;
      draw();
    },
  });
}

/** @param {[number, number]} range The words that the buttons act on. */
function drawControls([from, to]) {
  const { words, subject } = readings[0];
  const quote = (at) => `“${words[at].text}”`;
  let text = "no word";
  if (to >= from && words.length) {
    if (!view.chosen && subject >= 0) text = `the words after ${quote(subject)}`;
    else text = from === to ? `at ${quote(from)}` : `from ${quote(from)} to ${quote(to)}`;
  }
  $("range").textContent = text;
  for (const input of radios("grip")) input.checked = input.value === state.grip;
  for (const input of radios("network")) input.checked = Number(input.value) === state.network;
  $("whole").hidden = view.chosen === null;
  $("play").textContent = timers.play ? "❚❚ pause" : "▶ play";
}

/** Move the play to a word. */
function goTo(at) {
  view.at = Math.max(0, Math.min(at, readings[0].words.length - 1));
  draw();
}

/** Play the sentence word by word from where it stands, or from its beginning; or pause. */
function play() {
  const last = readings[0].words.length - 1;
  if (timers.play) return pause();
  if (view.at >= last) view.at = -1;
  timers.play = setInterval(() => {
    goTo(view.at + 1);
    if (view.at >= last) pause();
  }, PACE);
  draw();
}

function pause() {
  clearInterval(timers.play);
  timers.play = undefined;
  draw();
}

/** Choose a network; a hold on the unit that led goes on to the one that leads now. */
function choose(index) {
  const before = state.unit;
  state.network = index;
  useUnit(network().units[0].join(":"));
  for (const [key, value] of [...state.held]) {
    const [reading, whose, at] = key.split("/");
    if (whose.includes(":")) {
      state.held.delete(key);
      if (whose === before) state.held.set(`${reading}/${state.unit}/${at}`, value);
    }
  }
  fillUnits();
  changed();
}

function useUnit(name) {
  const [layer, unit] = name.split(":").map(Number);
  const exists = layer < network().layers && unit < network().size;
  state.unit = exists ? name : network().units[0].join(":");
}

/** List the units of the network, those shown first. */
function fillUnits() {
  const shown = network().units.map((unit) => unit.join(":"));
  const rest = unitsOf("all")
    .map((unit) => unit.join(":"))
    .filter((name) => !shown.includes(name));
  const options = [...shown, ...rest].map((name, index) => {
    const [layer, unit] = name.split(":").map(Number);
    const text = unitName(layer, unit);
    return new Option(index === 0 ? `${text}, which leads` : text, name);
  });
  $("unit").replaceChildren(...options);
  $("unit").value = state.unit;
  const many = shown.length === 1 ? "unit" : `${shown.length} units`;
  const carry = shown.length === 1 ? "carries" : "carry";
  $("shown-count").textContent =
    `the ${many} ${network().areNumberUnits ? `that ${carry} the number` : "that change most"}`;
  $("all-count").textContent = `all ${network().layers * network().size} units`;
}

/** Take over what the address holds, or else the page's first sentence. */
function load() {
  const found = fromAddress(location.hash.slice(1), names);
  Object.assign(state, { other: null, held: new Map() }, found);
  useUnit(state.unit || network().units[0].join(":"));
  $("text").value = state.text;
  view.at = Infinity;
  fillUnits();
  changed();
  return Object.keys(found).length > 0;
}

function type(text) {
  if (timers.play) pause();
  Object.assign(state, { text, other: null });
  Object.assign(view, { at: Infinity, chosen: null, hover: null });
  changed();
}

networks.forEach((each, index) => {
  const input = element("input", "");
  Object.assign(input, { type: "radio", name: "network", value: String(index) });
  input.addEventListener("change", () => choose(index));
  $("networks").append(element("label", "choose", input, element("span", "", each.label)));
});
content.sentences.slice(1).forEach((sentence) => {
  const button = element("button", "example", `${sentence} …`);
  button.addEventListener("click", () => {
    $("text").value = sentence;
    type(sentence);
  });
  $("examples").append(button);
});
$("more").hidden = content.sentences.length < 2;
$("text").addEventListener("input", (event) => type(event.target.value));
$("text").addEventListener("keydown", (event) => event.key === "Enter" && event.preventDefault());
$("unit").addEventListener("change", (event) => {
  useUnit(event.target.value);
  changed();
});
for (const input of radios("grip")) {
  input.addEventListener("change", () => {
    Object.assign(state, { grip: input.value });
    draw();
  });
}
// Only an LSTM has two gates: held shut it writes nothing and keeps all, held open the reverse.
$("shut").addEventListener("click", () =>
  hold(...range(), network().cell === "lstm" ? { write: 0, keep: 1 } : { write: 0 }),
);
$("wide").addEventListener("click", () =>
  hold(...range(), network().cell === "lstm" ? { write: 1, keep: 0 } : { write: 1 }),
);
$("trained").addEventListener("click", () => {
  state.held.clear();
  changed();
});
$("whole").addEventListener("click", () => {
  view.chosen = null;
  draw();
});
$("play").addEventListener("click", play);
$("back").addEventListener("click", () => goTo(view.at - 1));
$("next").addEventListener("click", () => goTo(view.at + 1));
$("one-only").addEventListener("click", () => {
  state.other = null;
  changed();
});
$("share").addEventListener("click", async () => {
  remember();
  try {
    await navigator.clipboard.writeText(location.href);
    $("share").textContent = "copied";
  } catch {
    $("share").textContent = "it is in the address bar";
  }
});
$("share").hidden = window.top !== window;
window.addEventListener("hashchange", load);
window.addEventListener("beforeprint", () => {
  $("tables").open = true;
});

/** For the console and for tests: the page's own functions. */
globalThis.memgate = { networks, vocabularies, tokens, state, type };

$("tables").open = false;
document.body.classList.add("live");
const isLink = load();
const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
if (!isLink && !still) play();
