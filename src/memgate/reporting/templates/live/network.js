// A network: its weights from base64, its states word by word with gates held, and what adds up to a gate.
import { CELLS, sigmoid } from "./cells.js";

/**
 * @typedef {import("./cells.js").Reading} Reading
 * @typedef {{layer: number, unit: number, time: number, reading: Reading, value: number}} Held A gate held at a number.
 * @typedef {Object} Layer
 * @property {Float64Array[]} hidden At each word, a number a unit.
 * @property {Float64Array[]} memory The LSTM's cell, else the hidden state.
 * @property {Float64Array[][]} gates By gate, at each word.
 * @property {(Float32Array | Float64Array)[]} input What the layer reads.
 * @typedef {{layers: Layer[], logOdds: number[], p: number[]}} Run
 * @typedef {{input: number, state: Float64Array, bias: number, sum: number, gate: number}} Parts
 */

export class Network {
  /** @param {any} content What src/memgate/reporting/live_network.py wrote. */
  constructor(content) {
    /** @type {string} */
    this.name = content.name;
    /** @type {string} */
    this.label = content.label;
    /** @type {"rnn" | "gru" | "lstm"} */
    this.cell = content.cell;
    /** @type {number} Units of a layer. */
    this.size = content.size;
    /** @type {number} */
    this.layers = content.layers;
    /** @type {number} Width of a word's vector. */
    this.features = content.features;
    /** @type {number} The index of its vocabulary. */
    this.vocabulary = content.vocabulary;
    /** @type {[string, string]} */
    this.answers = content.answers;
    /** @type {[number, number][]} Layer and unit, the one that leads first. */
    this.units = content.units;
    /** @type {boolean} */
    this.areNumberUnits = content.areNumberUnits;
    this.equations = CELLS[content.cell];
    /** @type {Record<string, Float32Array>} */
    this.weights = Object.fromEntries(
      Object.entries(content.weights).map(([name, { data, scales }]) => [
        name,
        decode(data, scales),
      ]),
    );
  }

  /**
   * @param {number} id
   * @returns {Float32Array} The vector of a word.
   */
  vector(id) {
    return this.weights["embedding.weight"].subarray(id * this.features, (id + 1) * this.features);
  }

  /**
   * Walk through the words; a held gate acts on all that depends on it.
   * @param {number[]} ids
   * @param {Held[]} held Later ones count.
   * @returns {Run}
   */
  run(ids, held = []) {
    /** @type {Layer[]} */
    const layers = [];
    /** @type {(Float32Array | Float64Array)[]} */
    let input = ids.map((id) => this.vector(id));
    for (let layer = 0; layer < this.layers; layer++) {
      layers.push(
        this.#runLayer(
          layer,
          input,
          held.filter((h) => h.layer === layer),
        ),
      );
      input = layers[layer].hidden;
    }
    const readout = this.weights["readout.weight"];
    const logOdds = input.map(
      (hidden) => dot(readout, 0, hidden) + this.weights["readout.bias"][0],
    );
    return { layers, logOdds, p: logOdds.map(sigmoid) };
  }

  /** @returns {Layer} */
  #runLayer(layer, input, held) {
    const { gates: names, parts, readings, candidate, remember, expose } = this.equations;
    const size = this.size;
    const { wIh, wHh, bIh, bHh } = this.#weightsOf(layer);
    const result = { hidden: [], memory: [], gates: names.map(() => []), input };
    let hidden = new Float64Array(size);
    let memory = hidden;
    for (let time = 0; time < input.length; time++) {
      const nextHidden = new Float64Array(size);
      const nextMemory = new Float64Array(size);
      const gates = names.map(() => new Float64Array(size));
      const fixed = held.filter((h) => h.time === time);
      const x = input[time];
      const values = names.map(() => 0);
      for (let unit = 0; unit < size; unit++) {
        for (let gate = 0; gate < names.length; gate++) {
          const row = parts[gate] * size + unit;
          values[gate] = sigmoid(dot(wIh, row, x) + bIh[row] + dot(wHh, row, hidden) + bHh[row]);
        }
        for (const { reading, unit: at, value } of fixed) {
          if (at === unit) {
            const { gate, complement } = readings[reading];
            values[gate] = complement ? 1 - value : value;
          }
        }
        const row = parts[names.length] * size + unit;
        const offered = dot(wIh, row, x) + bIh[row];
        const recurrent = dot(wHh, row, hidden) + bHh[row];
        nextMemory[unit] = remember(values, candidate(values, offered, recurrent), memory[unit]);
        nextHidden[unit] = expose(values, nextMemory[unit]);
        for (let gate = 0; gate < names.length; gate++) gates[gate][unit] = values[gate];
      }
      hidden = nextHidden;
      memory = nextMemory;
      result.hidden.push(hidden);
      result.memory.push(memory);
      for (const [gate, values] of gates.entries()) result.gates[gate].push(values);
    }
    return result;
  }

  /**
   * @param {Run} run
   * @param {Reading} reading
   * @returns {number} Keep or write of a unit at a word, in [0, 1].
   */
  reading(run, reading, layer, unit, time) {
    const { gate, complement } = this.equations.readings[reading];
    const value = run.layers[layer].gates[gate][time][unit];
    return complement ? 1 - value : value;
  }

  /**
   * What adds up to a reading before its sigmoid; a complement has its sign turned: 1 - σ(x) = σ(-x).
   * @param {Run} run
   * @param {Reading} reading
   * @returns {Parts}
   */
  partsOf(run, reading, layer, unit, time) {
    const { gate, complement } = this.equations.readings[reading];
    const { wIh, wHh, bIh, bHh } = this.#weightsOf(layer);
    const row = this.equations.parts[gate] * this.size + unit;
    const sign = complement ? -1 : 1;
    const { hidden, input } = run.layers[layer];
    const before = time ? hidden[time - 1] : new Float64Array(this.size);
    const state = before.map((value, index) => sign * wHh[row * this.size + index] * value);
    const word = sign * dot(wIh, row, input[time]);
    const bias = sign * (bIh[row] + bHh[row]);
    const sum = state.reduce((total, value) => total + value, word + bias);
    return { input: word, state, bias, sum, gate: sigmoid(sum) };
  }

  #weightsOf(layer) {
    const of = (name) => this.weights[`recurrence.${name}_l${layer}`];
    return { wIh: of("weight_ih"), wHh: of("weight_hh"), bIh: of("bias_ih"), bHh: of("bias_hh") };
  }
}

/** The product of a row of a matrix with a vector. */
function dot(matrix, row, vector) {
  const start = row * vector.length;
  let sum = 0;
  for (let index = 0; index < vector.length; index++) sum += matrix[start + index] * vector[index];
  return sum;
}

/**
 * @param {string} data Numbers in base64, little-endian: in single precision, or whole ones of 16 bits.
 * @param {string} [scales] What each row of whole numbers is multiplied by, in single precision.
 * @returns {Float32Array}
 */
function decode(data, scales) {
  if (!scales) return new Float32Array(bytes(data));
  const scale = new Float32Array(bytes(scales));
  const whole = new Int16Array(bytes(data));
  const width = whole.length / scale.length;
  return Float32Array.from(whole, (value, index) => value * scale[Math.floor(index / width)]);
}

/** @param {string} data */
function bytes(data) {
  return Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0)).buffer;
}
