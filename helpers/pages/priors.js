// What codes are drawn from: the standard Normal, a mixture of Gaussians, or a learned flow, as in A learned prior.
"use strict";

const STEPS = 30; // of the midpoint rule, two passes of the network each

/** The prior of a plan, whose draw(c, random, options) is one code (K,). */
function makePrior(plan, weights) {
  return { FlowPrior, Mixture, StandardNormal }[plan.model].from(plan, weights);
}

class StandardNormal {
  static from(plan) {
    return Object.assign(new StandardNormal(), { K: plan.K });
  }

  draw(c, random) {
    return normals(this.K, random);
  }
}

/** Gaussians m + L ε, one mixture for each label, or one for all. */
class Mixture {
  static from(plan, weights) {
    return Object.assign(new Mixture(), { K: plan.K, labels: plan.labels, weights });
  }

  draw(c, random) {
    const label = this.labels && c !== null ? c : choose(this.weights.log_share.data.map(Math.exp), random);
    const j = choose(row(this.weights.log_weight, label).map(Math.exp), random);
    return this.place(label, j, normals(this.K, random));
  }

  /** Gaussian j of a label, at this noise. */
  place(label, j, noise) {
    const K = this.K, mean = row(this.weights.mean, label).subarray(j * K, (j + 1) * K);
    const root = row(this.weights.root, label).subarray(j * K * K, (j + 1) * K * K);
    const z = Float32Array.from(mean);
    for (let a = 0; a < K; a++) for (let b = 0; b <= a; b++) z[a] += root[a * K + b] * noise[b];
    return z;
  }
}

/** Flow matching: a network's velocity carries noise at time 0 to codes at time 1 (Lipman et al., 2023). */
class FlowPrior {
  static from(plan, weights) {
    const net = within(weights, "flow.average.module.");
    const scale = { mean: weights.mean, deviation: weights.deviation };
    return Object.assign(new FlowPrior(), { plan, K: plan.K, net, scale });
  }

  /** A code (K,). c: a label, or traits in deviations from their mean, NaN for those that may be anything; or null. */
  draw(c, random, { guidance = 0, noise = normals(this.K, random) } = {}) {
    const { mean, deviation } = this.scale;
    return this.follow(noise, c, guidance).map((x, k) => mean.data[k] + deviation.data[k] * x);
  }

  /** A point carried from time 0 to 1 by midpoint steps. */
  follow(x, c, guidance = 0, steps = STEPS) {
    for (let i = 0; i < steps; i++) {
      const v = this.velocity(x, i / steps, c, guidance), middle = x.map((value, k) => value + v[k] / (2 * steps));
      const w = this.velocity(middle, (i + 0.5) / steps, c, guidance);
      x = x.map((value, k) => value + w[k] / steps);
    }
    return x;
  }

  /** guidance w: v(x, t, c) + w (v(x, t, c) - v(x, t)), which stresses what c says. */
  velocity(x, t, c, guidance = 0) {
    const told = this.network(x, t, c);
    if (!guidance || c === null) return told;
    const plain = this.network(x, t, null);
    return told.map((v, k) => v + guidance * (v - plain[k]));
  }

  network(x, t, c) {
    const net = this.net, width = net["first.bias"].data.length;
    const said = layer(waves(t), net, "time");
    const label = row(net.label, this.plan.labels && c !== null ? c : net.label.shape[0] - 1);
    const traits = this.plan.condition ? layer(this.asked(c), net, "traits") : null;
    for (let k = 0; k < said.length; k++) said[k] = silu(said[k] + label[k] + (traits ? traits[k] : 0));
    let h = layer(x, net, "first");
    for (let b = 0; `blocks.${b}.adapt.weight` in net; b++) {
      const block = within(net, `blocks.${b}.`), adapt = layer(said, block, "adapt"), inner = layerNorm(h, width);
      for (let k = 0; k < width; k++) inner[k] = inner[k] * (1 + adapt[k]) + adapt[width + k];
      const more = layer(each(layer(inner, block, "net.0"), silu), block, "net.3");
      h = h.map((value, k) => value + more[k]);
    }
    return layer(layerNorm(h, width, net["last.0.weight"], net["last.0.bias"]), net, "last.1");
  }

  /** The traits that are ordered, with 0 for the others, and then 1 for each that is not told. */
  asked(c) {
    const n = this.plan.condition, found = new Float32Array(2 * n);
    for (let k = 0; k < n; k++) {
      const missing = c === null || Number.isNaN(c[k]);
      found[k] = missing ? 0 : c[k];
      found[n + k] = missing ? 1 : 0;
    }
    return found;
  }
}

/** A time as sines and cosines, from half a wave to many over the unit of time. */
function waves(t) {
  const n = 16, found = new Float32Array(2 * n);
  for (let k = 0; k < n; k++) {
    const rate = Math.PI * 2 ** ((6 * k) / (n - 1));
    found[k] = Math.sin(t * rate);
    found[n + k] = Math.cos(t * rate);
  }
  return found;
}
