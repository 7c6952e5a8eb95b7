// Typed text in, words and their ids out, as src/memgate/data/tokenization.py, vocabulary.py and tag_lexicon.py.

/**
 * @typedef {{text: string, read: string, id: number, how: "known" | "tag" | "unknown"}} Word
 * What is typed, the vocabulary's entry that is read for it, and whether it is its own, its tag's or none's.
 */

/**
 * A splitter of text, for the pattern of tokenization.py. There \d and \S know all of Unicode.
 * @param {string} pattern
 * @returns {(text: string) => string[]}
 */
export function tokenizer(pattern) {
  const unicode = pattern.replaceAll("\\d", "\\p{Nd}").replaceAll("\\S", "\\P{White_Space}");
  const expression = new RegExp(unicode, "gu");
  return (text) => text.match(expression) ?? [];
}

export class Vocabulary {
  /** @param {any} content What src/memgate/reporting/live_network.py wrote. */
  constructor({ entries, lowercase, pairs, lexicon }) {
    /** @type {string[]} */
    this.entries = entries.split(" ");
    this.ids = new Map(this.entries.map((entry, id) => [entry, id]));
    this.lower = lowercase ? lower : (word) => word;
    /** The id of the other number of a noun. */
    this.otherNumber = new Map(
      pairs.flatMap(([one, many]) => [
        [one, many],
        [many, one],
      ]),
    );
    /** @type {Map<string, string> | null} The tags of rare words. */
    this.tags = null;
    if (lexicon) {
      this.longestEnding = lexicon.longestEnding;
      this.endings = new Map(Object.entries(lexicon.endings));
      const tagged = Object.entries(lexicon.words);
      this.tags = new Map(tagged.flatMap(([tag, words]) => words.split(" ").map((w) => [w, tag])));
    }
  }

  /**
   * Read tokens: as themselves, else as their tag, else as the unknown word, id 0.
   * @param {string[]} tokens
   * @returns {Word[]}
   */
  read(tokens) {
    return tokens.map((text, index) => {
      const own = this.ids.get(this.lower(text)) ?? this.ids.get(text);
      if (own !== undefined)
        return { text, read: this.entries[own], id: own, how: own ? "known" : "unknown" };
      const id = this.ids.get(this.#tag(text, index === 0)) ?? 0;
      return { text, read: this.entries[id], id, how: id ? "tag" : "unknown" };
    });
  }

  /**
   * @param {Word} word
   * @returns {string | undefined} The noun in its other number, with the case of the word.
   */
  swapped(word) {
    const id = word.how === "known" ? this.otherNumber.get(word.id) : undefined;
    if (id === undefined) return undefined;
    const other = this.entries[id];
    return word.text[0] === word.text[0].toLowerCase()
      ? other
      : other[0].toUpperCase() + other.slice(1);
  }

  #tag(word, isFirst) {
    const known = this.tags?.get(lower(word));
    if (known !== undefined || !this.tags) return known;
    if (!/[\p{L}\p{N}]/u.test(word)) return undefined;
    if (/^\p{Uppercase}/u.test(word) && !isFirst) return "NNP";
    const letters = Array.from(word.toLowerCase());
    for (
      let start = Math.max(0, letters.length - this.longestEnding);
      start <= letters.length;
      start++
    ) {
      const tag = this.endings.get(letters.slice(start).join(""));
      if (tag !== undefined) return tag;
    }
    return undefined;
  }
}

/** Lower case letter by letter, as Arrow has it: one letter for each, and no special sigma at the end. */
function lower(word) {
  return Array.from(word, (letter) => Array.from(letter.toLowerCase())[0]).join("");
}
