// What the pages share: sliders, an order form, files to keep, and what is said while something happens.
"use strict";

const byId = (id) => document.getElementById(id);

/** A new element with these attributes and this content: texts (never read as HTML) and elements. */
function element(tag, attributes = {}, ...content) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...content);
  return made;
}

/** A slider with its name and its value; changed() is called while it moves. */
function slider(name, { min, max, step, value, id }, changed) {
  const input = element("input", { type: "range", id, min, max, step, value });
  const shown = element("output", { for: id }), show = () => (shown.textContent = signed(input.valueAsNumber, min < 0));
  input.addEventListener("input", () => (show(), changed()));
  show();
  const box = element("div", { class: "knob" }, element("label", { for: id }, name), input, shown);
  const set = (number) => ((input.value = Math.min(Math.max(number, min), max)), show());
  return { box, set, get value() { return input.valueAsNumber; } };
}

/** Whether movement on the screen is welcome. */
const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** Where the page is one column: scroll to an element, if it cannot be seen. */
function bringIntoView(found) {
  const { top, bottom } = found.getBoundingClientRect(), high = Math.min(bottom - top, window.innerHeight / 2);
  if (!matchMedia("(max-width: 52rem)").matches) return;
  if (Math.min(bottom, window.innerHeight) - Math.max(top, 0) >= high) return;
  found.scrollIntoView({ behavior: calm() ? "auto" : "smooth", block: "center" });
}

/** A list of choices with its name: [what it says, value] each. */
function choice(name, options, id) {
  const select = element("select", { id }, ...options.map(([says], i) => element("option", { value: i }, says)));
  const box = element("div", { class: "knob choice" }, element("label", { for: id }, name), select);
  return { box, select, get value() { return options[select.selectedIndex][1]; } };
}

/** The labels to choose from, and all of them, into the place for them; nothing where there are none. */
function chooser(labels, all, changed) {
  if (!labels.length) return { value: null };
  const found = choice("label", [[all, null], ...labels.map((name, k) => [name, k])], "label");
  found.select.setAttribute("dir", "auto");
  found.select.addEventListener("change", () => changed());
  byId("labels").append(found.box);
  return found;
}

/** A number with one digit behind the point; with its sign, if asked for. */
function signed(value, sign = true) {
  const text = Math.abs(value).toFixed(1), zero = Number(text) === 0;
  return (value < 0 && !zero ? "−" : sign ? "+" : "") + text;
}

/** Say something to those who look, and to those who listen. */
const say = (text, id = "said") => (byId(id).textContent = text);

/** Offer bytes as a file of this name. */
function download(bytes, name, type) {
  const url = URL.createObjectURL(new Blob([bytes], { type }));
  const link = element("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
}

/** Call f at most once a frame, however often it is asked for. */
function atMostOncePerFrame(f) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => ((waiting = false), f()));
  };
}

/** Knobs around a code, buttons, and an order form: what the designers of typefaces and of instruments share.
 *
 * facts: directions [[name, vector]], centre, traits, choices of each, average (what 0 means, in words), guidance,
 * c_mean, c_deviation; reach: how far codes are spread, and what is far. redraw(code) shows a code on the element
 * picture; measured() are the traits of what is shown.
 */
class Designer {
  constructor(facts, prior, redraw, measured, picture) {
    Object.assign(this, { facts, prior, measured, picture, start: Float32Array.from(facts.centre), ordered: null });
    this.random = uniform();
    this.redraw = atMostOncePerFrame(() => (redraw(this.code), this.tell()));
    this.knobs = facts.directions.map(([name], i) =>
      slider(name, { min: -3, max: 3, step: 0.1, value: 0, id: `knob-${i}` }, this.redraw));
    byId("knobs").append(...this.knobs.map((knob) => knob.box));
    this.orders = facts.traits.map((name, i) => choice(name, facts.choices[i], `order-${i}`));
    this.guidance = slider("guidance", { min: 0, max: 4, step: 0.5, value: facts.guidance, id: "guidance" }, () => {});
    byId("orders").append(...this.orders.map((order) => order.box), this.guidance.box);
    byId("average").textContent = facts.average;
    byId("surprise").addEventListener("click", () => this.draw(this.orders.map(() => null)));
    byId("order").addEventListener("click", () => this.draw(this.orders.map((order) => order.value)));
    byId("middle").addEventListener("click", () => this.place(facts.centre, null));
  }

  /** The code that the knobs stand for. */
  get code() {
    const code = Float32Array.from(this.start);
    this.facts.directions.forEach(([, vector], i) => vector.forEach((v, k) => (code[k] += this.knobs[i].value * v)));
    return code;
  }

  /** Show a code, with all knobs in their middle. */
  place(code, ordered) {
    this.start = Float32Array.from(code);
    this.ordered = ordered;
    for (const knob of this.knobs) knob.set(0);
    this.redraw();
  }

  /** A code from the learned prior, to order: deviations for each trait, or null for any. */
  draw(order) {
    const c = order.map((value) => (value === null ? NaN : value));
    this.place(this.prior.draw(c, this.random, { guidance: this.guidance.value }), c);
    requestAnimationFrame(() => bringIntoView(this.picture)); // once it is drawn
  }

  /** Whether a code is farther out than nearly all that the prior draws: beyond 99.9 % of them. */
  far(code) {
    const { mean, root, most } = this.facts.reach, off = code.map((value, k) => value - mean[k]);
    return Math.hypot(...root.map((line) => line.reduce((sum, w, k) => sum + w * off[k], 0))) > most;
  }

  /** Say what of an order came, measured on what is shown. */
  tell() {
    say(this.far(this.code) ? "This is far from all that the model learned from: expect odd results." : "", "far");
    if (this.ordered === null) return this.say("");
    const { traits, c_mean, c_deviation } = this.facts, found = this.measured();
    const parts = traits.map((name, k) => {
      const came = (found[name] - c_mean[k]) / c_deviation[k], wish = this.ordered[k];
      const missed = Math.abs(came - wish) > 0.5 ? ": missed" : "";
      return `${name} ${signed(came)}${Number.isNaN(wish) ? "" : ` (ordered ${signed(wish)}${missed})`}`;
    });
    const missed = parts.some((part) => part.includes("missed"));
    const help = missed ? " Missed: draw again, move guidance, or order less, and nearer to 0." : "";
    return this.say(`Measured, in deviations from the average: ${parts.join(", ")}.${help}`);
  }

  /** Beside the button to those who look and to those who listen; on narrow screens beside the picture, too. */
  say(text) {
    say(text, "told");
    say(text, "came");
  }
}
