// A recurrent network that writes: a gated recurrent unit (Cho et al., 2014), told real numbers, or nothing.
"use strict";

const PAD = 0, END = 1, UNKNOWN = 2, SPECIAL = 3; // symbols; characters or words follow
const MANY = 20000; // states that are kept, so that nothing is read twice

class Gru {
  /** plan: {spread, …}; weights by PyTorch's names; c: what it is told, or null. */
  constructor(plan, weights, c = null) {
    Object.assign(this, { weights, kept: new Map() });
    this.width = weights["gru.weight_hh_l0"].shape[1];
    const told = c === null ? null : Float32Array.from(c, (value) => value / (plan.spread ?? 1));
    this.start = told ? each(layer(told, weights, "to_state"), Math.tanh) : new Float32Array(this.width);
    this.added = told ? layer(told, weights, "to_input") : null;
  }

  /** The state after one more symbol: h (width,). */
  step(symbol, h) {
    const { weights, width } = this, input = Float32Array.from(row(weights["embedding.weight"], symbol));
    if (this.added) for (let k = 0; k < input.length; k++) input[k] += this.added[k];
    const x = linear(input, weights["gru.weight_ih_l0"], weights["gru.bias_ih_l0"]);
    const y = linear(h, weights["gru.weight_hh_l0"], weights["gru.bias_hh_l0"]), next = new Float32Array(width);
    for (let k = 0; k < width; k++) {
      const reset = sigmoid(x[k] + y[k]), keep = sigmoid(x[width + k] + y[width + k]);
      next[k] = (1 - keep) * Math.tanh(x[2 * width + k] + reset * y[2 * width + k]) + keep * h[k];
    }
    return next;
  }

  /** Scores of what follows a state; padding never does. */
  scores(h) {
    const found = layer(h, this.weights, "head");
    found[PAD] = -Infinity;
    return found;
  }

  /** The state after these symbols, and log p of what follows, {h, next}; what was read before is not read again. */
  after(symbols) {
    const key = symbols.join(" "), known = this.kept.get(key);
    if (known) return known;
    const before = symbols.length ? this.after(symbols.slice(0, -1)).h : this.start;
    const h = this.step(symbols.length ? symbols[symbols.length - 1] : END, before);
    const found = { h, next: logSoftmax(this.scores(h)) };
    if (this.kept.size > MANY) this.kept.clear();
    this.kept.set(key, found);
    return found;
  }

  /** log p of a whole text, its end included, in nats. */
  logProb(symbols) {
    return [...symbols, END].reduce((sum, symbol, t) => sum + this.after(symbols.slice(0, t)).next[symbol], 0);
  }

  /** One text, symbol after symbol, until its end or until it is this long. */
  write(random, temperature, longest) {
    const symbols = [];
    while (symbols.length < longest) {
      const symbol = pick(this.after(symbols).next, random, temperature);
      if (symbol === END) break;
      symbols.push(symbol);
    }
    return symbols;
  }
}

/** The next symbol, from log p of each, divided by the temperature; never padding or unknown. */
function pick(logP, random, temperature) {
  const scores = logP.map((value, symbol) => (symbol === PAD || symbol === UNKNOWN ? -Infinity : value));
  if (temperature === 0) return scores.indexOf(Math.max(...scores));
  return choose(logSoftmax(scores.map((value) => value / temperature)).map(Math.exp), random);
}
