// Curves of a page: every section names its sources; one cursor runs through all charts of a section.
import { drawChart } from "/static/chart.js";

const HEIGHT = 220;
const UNITS = { deg: "°" };

class Section {
  constructor(element) {
    this.element = element;
    this.data = JSON.parse(element.querySelector('script[type="application/json"]').textContent);
    this.place = element.querySelector(".charts");
    this.slider = element.querySelector('input[type="range"]');
    this.panels = [];
  }

  async start() {
    const answers = await Promise.all(this.data.sources.map((s) => fetchJson(s.href)));
    this.lines = this.data.sources.map((source, i) => ({ ...source, curves: answers[i].curves }));
    for (const angle of this.data.angles.filter((a) => a.shown)) this.add(angle);
    this.slider.addEventListener("input", () => this.point(Number(this.slider.value)));
    document.addEventListener("stride-percent", (event) => this.follow(event.detail));
    this.element.querySelector("select").addEventListener("change", (event) => this.choose(event.target.value));
    new ResizeObserver(() => this.resize()).observe(this.place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
    await this.findStretches(this.panels);
  }

  /** The panels of one angle: one per side. */
  add(angle) {
    // Two visits: a panel per side. One trial: both sides in one panel.
    const sides = this.data.sides ? ["both"] : angle.sides;
    const made = sides.map((side) => new Panel(this, angle, side)).filter((panel) => panel.lines.length);
    if (!made.length) this.place.append(missing(angle));
    for (const panel of made) this.place.append(panel.figure);
    for (const panel of made) panel.draw();
    this.panels.push(...made);
    return made;
  }

  async choose(id) {
    for (const panel of this.panels.filter((p) => !p.angle.shown)) panel.remove();
    for (const note of this.place.querySelectorAll(".no-curve.chosen")) note.remove();
    this.panels = this.panels.filter((p) => p.angle.shown);
    const angle = this.data.angles.find((a) => a.id === id);
    if (angle) await this.findStretches(this.add(angle));
  }

  /** Ask where the visits differ by more than the error, angle by angle: each answer takes the server a moment. */
  async findStretches(panels) {
    if (!this.data.changes) return;
    for (const id of new Set(panels.map((p) => p.angle.id))) {
      const answer = await fetchJson(`${this.data.changes}&angle=${encodeURIComponent(id)}`);
      for (const panel of panels.filter((p) => p.angle.id === id)) {
        panel.tell(answer.curves.find((c) => c.pair === this.data.pair && c.side === panel.side));
      }
    }
  }

  point(percent) {
    for (const panel of this.panels) panel.point(percent);
  }

  /** The player of the page stands at this share of a stride. */
  follow(percent) {
    this.slider.value = percent;
    this.point(percent);
  }

  resize() {
    for (const panel of this.panels) panel.resize();
  }

  redraw() {
    for (const panel of this.panels) panel.draw();
  }
}

class Panel {
  constructor(section, angle, side) {
    Object.assign(this, { section, angle, side, stretches: [] });
    this.unit = UNITS[angle.unit] ?? ` ${angle.unit}`;
    this.lines = section.lines.flatMap((line) => this.linesOf(line));
    this.figure = document.createElement("figure");
    this.figure.className = "chart";
    const caption = document.createElement("figcaption");
    const title = document.createElement("strong");
    title.textContent = angle.id.replaceAll("_", " ") + (side === "both" ? "" : `, ${side}`);
    caption.append(title, `${angle.name}; up: ${angle.positive}; zero: ${angle.zero}`);
    this.canvas = document.createElement("div");
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", `${caption.textContent}. Mean and SD: ${this.lines.map((l) => l.label).join(", ")}`);
    this.output = document.createElement("output");
    this.note = document.createElement("p");
    this.note.className = "stretches";
    this.figure.append(caption, this.canvas, this.output, this.note);
  }

  linesOf(line) {
    if (this.section.data.sides) {
      const curves = line.curves.filter((c) => c.id === this.angle.id && c.n);
      return curves.map((c) => ({ label: c.side, colour: c.side === "left" ? "left" : "right", dashed: c.side === "left", ...c }));
    }
    const curve = line.curves.find((c) => c.id === this.angle.id && c.side === this.side);
    return curve && curve.n ? [{ label: line.label, colour: line.line, dashed: line.dashed ?? false, ...curve }] : [];
  }

  draw() {
    this.chart?.destroy();
    const { toe_off: toeOff, sides } = this.section.data;
    const marked = sides && this.angle.sides.length > 1 ? Object.values(toeOff).flat() : toeOff[this.side] ?? [];
    const marks = marked.map((m) => ({ at: m.at, colour: m.line, dashed: true }));
    const { unit, lines, stretches } = this;
    this.chart = drawChart(this.canvas, { unit, lines, marks, stretches, height: HEIGHT }, this.section.element.id);
    this.chart.over.addEventListener("mousemove", () => this.section.panels.forEach((p) => p.read(this.chart.cursor.idx)));
    this.read(Number(this.section.slider.value));
  }

  /** The numbers under the cursor, as text. */
  read(index) {
    if (index === null || index === undefined) return;
    const parts = this.lines.map((l) => [l, `${l.label} ${number(l.mean[index])} ± ${number(l.sd[index])}${this.unit}`]);
    const nodes = parts.flatMap(([line, text]) => [sample(line), text, document.createElement("br")]);
    this.output.replaceChildren(`At ${index} %: `, document.createElement("br"), ...nodes);
  }

  point(percent) {
    this.chart.setCursor({ left: this.chart.valToPos(percent, "x"), top: 10 }, false);
    this.read(percent);
  }

  tell(change) {
    if (!change) return;
    const found = change.clusters.filter((c) => c.larger_than_error);
    this.stretches = found.map((c) => [c.larger_from_pct, c.larger_to_pct]);
    const said = found.map((c) => `${c.larger_from_pct} to ${c.larger_to_pct} %, up to ${number(c.largest_difference, true)}${this.unit}`);
    this.note.textContent = said.length
      ? `Larger than measurement error (grey): ${said.join("; ")}.`
      : change.reason ? `No verdict: ${change.reason}.` : "Nowhere larger than measurement error.";
    this.draw();
  }

  resize() {
    const width = this.canvas.clientWidth;
    if (width && width !== this.chart.width) this.chart.setSize({ width, height: HEIGHT });
  }

  remove() {
    this.chart.destroy();
    this.figure.remove();
  }
}

function sample(line) {
  const mark = document.createElement("span");
  mark.className = `line ${line.colour}${line.dashed ? " dashed" : ""}`;
  return mark;
}

function missing(angle) {
  const note = document.createElement("p");
  note.className = angle.shown ? "no-curve" : "no-curve chosen";
  note.textContent = `${angle.name}: not measured in these trials.`;
  return note;
}

function number(value, signed = false) {
  if (value === null || value === undefined) return "–";
  const text = value.toFixed(1).replace("-0.0", "0.0").replace("-", "−");
  return signed && value > 0 ? `+${text}` : text;
}

async function fetchJson(address) {
  const answer = await fetch(address, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(`${address}: ${answer.status}`);
  return answer.json();
}

async function start(element) {
  const section = new Section(element);
  try {
    await section.start();
  } catch (error) {
    const note = document.createElement("p");
    note.className = "warning";
    note.textContent = `The curves could not be fetched (${error.message}).`;
    section.place.append(note);
  }
}

// Read by tests: every chart of the page is there.
Promise.all([...document.querySelectorAll(".curves")].map(start)).then(() => {
  document.documentElement.dataset.curves = "drawn";
});
