// One angle over the whole trial, a few seconds at a time, with a line at the moment that is shown.
import { axis, colourOf } from "/static/chart.js";

const WINDOW_S = 3;
const HEIGHT = 200;

export class AngleView {
  constructor(figure, about, values, seek) {
    Object.assign(this, { figure, about, values, seek, at: 0, window: -1 });
    this.place = figure.querySelector(".time-plot");
    this.output = figure.querySelector("output");
    this.select = figure.querySelector("select");
    const ids = [...new Set(about.angles.map((a) => a.id))];
    this.select.replaceChildren(...ids.map((id) => new Option(id.replaceAll("_", " "), id, false, id === "hip_flexion")));
    figure.hidden = !ids.length;
    if (!ids.length) return;
    this.select.addEventListener("change", () => this.draw());
    new ResizeObserver(() => this.resize()).observe(this.place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    this.draw();
  }

  draw() {
    const { rate_hz: rate, n_frames: count, angles } = this.about;
    this.rows = angles.map((a, row) => ({ ...a, row })).filter((a) => a.id === this.select.value);
    this.unit = this.rows[0].unit === "deg" ? "°" : ` ${this.rows[0].unit}`;
    const lines = this.rows.map((a) => Array.from(this.values.subarray(a.row * count, (a.row + 1) * count), (v) => (Number.isNaN(v) ? null : v)));
    const seconds = Array.from({ length: count }, (_, i) => i / rate);
    this.chart?.destroy();
    this.window = -1;
    const series = this.rows.map((a) => ({
      label: a.side, stroke: colourOf(a.side === "both" ? "ink" : a.side), width: 2, dash: a.side === "left" ? [6, 4] : undefined, points: { show: false },
    }));
    this.chart = new uPlot({
      width: this.place.clientWidth, height: HEIGHT, series: [{ label: "s" }, ...series], legend: { show: false },
      scales: { x: { time: false } },
      axes: [axis({ size: 26, values: (_u, ticks) => ticks.map((t) => `${t} s`) }), axis({ size: 48, values: (_u, ticks) => ticks.map((t) => `${t}${this.unit}`) })],
      cursor: { drag: { x: false, y: false }, points: { show: false }, y: false },
      hooks: { draw: [(u) => this.mark(u)] },
    }, [seconds, ...lines], this.place);
    this.line = document.createElement("div");
    this.line.className = "now";
    this.chart.over.append(this.line);
    this.chart.over.addEventListener("click", () => {
      if (this.chart.cursor.idx !== null) this.seek(this.chart.cursor.idx);
    });
    this.show(this.at);
  }

  /** Foot strikes, in the colour of their side. */
  mark(u) {
    const { ctx, bbox } = u;
    ctx.save();
    for (const stride of this.about.strides) {
      if (stride.begins_s < u.scales.x.min || stride.begins_s > u.scales.x.max) continue;
      const x = Math.round(u.valToPos(stride.begins_s, "x", true));
      ctx.fillStyle = colourOf(stride.side);
      ctx.globalAlpha = 0.5;
      ctx.fillRect(x, bbox.top + bbox.height - 10 * devicePixelRatio, 2 * devicePixelRatio, 10 * devicePixelRatio);
    }
    ctx.restore();
  }

  show(index) {
    this.at = index;
    if (!this.chart) return;
    const seconds = index / this.about.rate_hz;
    const window = Math.floor(seconds / WINDOW_S);
    if (window !== this.window) {
      this.window = window;
      this.chart.setScale("x", { min: window * WINDOW_S, max: (window + 1) * WINDOW_S });
    }
    const share = (seconds - window * WINDOW_S) / WINDOW_S;
    this.line.style.left = `${100 * share}%`;
    const said = this.rows.map((a) => `${a.side === "both" ? "" : `${a.side} `}${number(this.values[a.row * this.about.n_frames + index])}${this.unit}`);
    this.output.textContent = `At ${seconds.toFixed(3)} s: ${said.join(", ")}`;
    this.figure.dataset.frame = index;
  }

  resize() {
    const width = this.place.clientWidth;
    if (this.chart && width && width !== this.chart.width) this.chart.setSize({ width, height: HEIGHT });
  }
}

function number(value) {
  return Number.isNaN(value) ? "–" : value.toFixed(1).replace("-0.0", "0.0").replace("-", "−");
}
