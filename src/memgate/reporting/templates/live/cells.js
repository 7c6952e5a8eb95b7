// The step equations of torch.nn's RNN, GRU and LSTM, for one unit.
// They are those of src/memgate/models/cells.py, name by name; tests compare the numbers.

/**
 * @typedef {"keep" | "write"} Reading
 * @typedef {Object} Cell
 * @property {string[]} gates The gates, each in (0, 1), in the order of cells.py.
 * @property {number[]} parts The index of the part of torch's weights for each gate, and last for the candidate.
 * @property {Partial<Record<Reading, {gate: number, complement: boolean}>>} readings What keeps and what writes: a gate, or 1 - gate.
 * @property {(gates: number[], offered: number, recurrent: number) => number} candidate
 * @property {(gates: number[], candidate: number, memory: number) => number} remember The memory after the word.
 * @property {(gates: number[], memory: number) => number} expose The hidden state after the word.
 */

/** @param {number} x */
export const sigmoid = (x) => 1 / (1 + Math.exp(-x));

/** @type {Record<string, Cell>} */
export const CELLS = {
  rnn: {
    gates: [],
    parts: [0],
    readings: {},
    candidate: (_, offered, recurrent) => Math.tanh(offered + recurrent),
    remember: (_, candidate) => candidate,
    expose: (_, memory) => memory,
  },
  gru: {
    gates: ["reset", "update"],
    parts: [0, 1, 2],
    readings: {
      write: { gate: 1, complement: true },
      keep: { gate: 1, complement: false },
    },
    candidate: ([reset], offered, recurrent) => Math.tanh(offered + reset * recurrent),
    remember: ([, update], candidate, memory) => candidate + update * (memory - candidate),
    expose: (_, memory) => memory,
  },
  lstm: {
    gates: ["input", "forget", "output"],
    parts: [0, 1, 3, 2],
    readings: {
      write: { gate: 0, complement: false },
      keep: { gate: 1, complement: false },
    },
    candidate: (_, offered, recurrent) => Math.tanh(offered + recurrent),
    remember: ([input, forget], candidate, memory) => forget * memory + input * candidate,
    expose: ([, , output], memory) => output * Math.tanh(memory),
  },
};
