// The model of texts: a recurrent network and n-grams guess the next symbol together, as helpers.models.language has.
"use strict";

/** Which symbols followed which: a tree of all grams, in sorted arrays. A key is the parent's number times V, plus the
 * last symbol. Keys are stored as steps from one to the next, and as few bytes as they need. */
class Grams {
  constructor(packed, symbols, order) {
    const text = atob(packed.bytes), size = packed.grams;
    Object.assign(this, { symbols, order, size });
    let at = 0;
    const number = () => {
      let value = 0;
      for (let by = 1; ; by *= 128) {
        const byte = text.charCodeAt(at++);
        value += (byte & 127) * by;
        if (byte < 128) return value;
      }
    };
    [this.keys, this.counts] = [new Float64Array(size), new Float64Array(size)];
    for (let i = 0, key = 0; i < size; i++) this.keys[i] = key += number();
    for (let i = 0; i < size; i++) this.counts[i] = number();
    [this.total, this.types] = [new Float64Array(size + 1), new Float64Array(size + 1)];
    this.keys.forEach((key, i) => {
      const parent = Math.floor(key / symbols);
      this.total[parent] += this.counts[i];
      this.types[parent] += this.counts[i] > 0 ? 1 : 0;
    });
  }

  /** The first place whose key is at least this. */
  place(key) {
    let low = 0, high = this.size;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.keys[middle] < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** What may follow the last symbols: for each order probabilities, and how many symbols, and different ones, did. */
  following(history) {
    let p = new Float64Array(this.symbols).fill(1 / (this.symbols - 1));
    p[PAD] = 0;
    const found = [];
    for (let length = 0; length < this.order; length++) {
      let node = length > history.length ? this.size : 0;
      for (const symbol of length ? history.slice(-length) : []) {
        if (node === this.size) break;
        const key = node * this.symbols + symbol, place = this.place(key);
        node = this.keys[place] === key ? place : this.size;
      }
      const all = this.total[node], types = this.types[node];
      if (all > 0) {
        p = p.map((value) => (types * value) / (all + types));
        const last = (node + 1) * this.symbols;
        for (let i = this.place(node * this.symbols); i < this.size && this.keys[i] < last; i++) {
          p[this.keys[i] % this.symbols] += this.counts[i] / (all + types);
        }
      }
      found.push({ p, all, types });
    }
    return found;
  }
}

class Language extends Gru {
  constructor(plan, weights, grams, c = null) {
    super(plan, weights, c);
    this.grams = grams;
  }

  /** What is known before the first symbol. */
  begin() {
    return { h: this.start, history: [] };
  }

  /** log p of what follows one more symbol, and the next state. */
  read(symbol, { h, history }) {
    const next = this.step(symbol, h), before = [...history, symbol].slice(-(this.grams.order - 1));
    const found = this.grams.following(this.grams.order > 1 ? before : []), n = found.length;
    const seen = Float32Array.from([...found.map((one) => one.all), ...found.map((one) => one.types)], Math.log1p);
    const more = linear(seen, this.weights["weigh_seen.weight"]);
    const shares = logSoftmax(layer(next, this.weights, "weigh").map((value, k) => value + more[k])).map(Math.exp);
    const network = logSoftmax(this.scores(next));
    const logP = network.map((value, symbol) =>
      Math.log(found.reduce((sum, { p }, k) => sum + shares[k] * p[symbol], shares[n] * Math.exp(value))));
    return { logP, state: { h: next, history: before } };
  }

  /** One text that goes on from its beginning, symbol after symbol, until its end, or until it is this long. */
  write(random, temperature, longest, beginning = []) {
    let { logP, state } = this.read(END, this.begin());
    const symbols = [];
    for (const symbol of beginning) ({ logP, state } = this.read(symbol, state));
    while (beginning.length + symbols.length < longest) {
      const symbol = pick(logP, random, temperature);
      if (symbol === END) break;
      symbols.push(symbol);
      ({ logP, state } = this.read(symbol, state));
    }
    return symbols;
  }

  /** log p of a whole text, its end included, in nats. */
  logProb(symbols) {
    let { logP, state } = this.read(END, this.begin()), sum = 0;
    for (const symbol of symbols) {
      sum += logP[symbol];
      ({ logP, state } = this.read(symbol, state));
    }
    return sum + logP[END];
  }
}
