// One chart of angles over the stride: mean and SD of every line, drawn by uPlot.
// A line: {label, colour, dashed, mean, sd}, each 101 numbers or null. A mark: {at, colour, dashed} in % of the stride.

const PERCENT = Array.from({ length: 101 }, (_, i) => i);

/** The colour that the style sheet gives to a name, in the scheme that is on. */
export function colourOf(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Draw into an element; returns the chart, which the caller resizes and destroys. */
export function drawChart(element, { unit, lines, marks, stretches, height }, sync) {
  const data = [PERCENT];
  const series = [{ label: "% of the stride" }];
  const bands = [];
  for (const line of lines) {
    const colour = colourOf(line.colour);
    const low = line.mean.map((m, i) => edge(m, line.sd[i], -1));
    const high = line.mean.map((m, i) => edge(m, line.sd[i], +1));
    data.push(high, low, line.mean);
    const place = series.length;
    bands.push({ series: [place, place + 1], fill: `${colour}2e` });
    series.push(hidden("+ SD"), hidden("- SD"), {
      label: line.label, stroke: colour, width: 2, dash: line.dashed ? [6, 4] : undefined, points: { show: false },
    });
  }
  const options = {
    width: element.clientWidth, height, series, bands,
    legend: { show: false },
    scales: { x: { time: false, range: [0, 100] } },
    axes: [axis({ size: 26, space: 60, values: (_u, ticks) => ticks.map((t) => `${t} %`) }), axis({ size: 48, values: (_u, ticks) => ticks.map((t) => `${t}${unit}`) })],
    cursor: { y: false, sync: { key: sync }, drag: { x: false, y: false }, points: { show: false } },
    hooks: { drawClear: [(u) => shade(u, stretches)], draw: [(u) => drawMarks(u, marks)] },
  };
  return new uPlot(options, data, element);
}

function edge(mean, sd, sign) {
  return mean === null || sd === null ? null : mean + sign * sd;
}

function hidden(label) {
  return { label, width: 0, stroke: "transparent", points: { show: false } };
}

/** An axis in the colours of the page. */
export function axis(more) {
  const ink = colourOf("dim");
  const line = colourOf("line");
  const font = "12px system-ui, sans-serif";
  return { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font, ...more };
}

/** Stretches of the stride where the visits differ by more than the error: grey behind the curves. */
function shade(u, stretches) {
  const { ctx, bbox } = u;
  ctx.save();
  ctx.globalAlpha = 0.6;
  ctx.fillStyle = colourOf("band");
  for (const [from, to] of stretches) {
    const left = u.valToPos(from, "x", true);
    ctx.fillRect(left, bbox.top, Math.max(u.valToPos(to, "x", true) - left, 2), bbox.height);
  }
  ctx.restore();
}

function drawMarks(u, marks) {
  const { ctx, bbox } = u;
  ctx.save();
  ctx.lineWidth = devicePixelRatio;
  for (const mark of marks) {
    const x = Math.round(u.valToPos(mark.at, "x", true));
    ctx.strokeStyle = colourOf(mark.colour);
    ctx.setLineDash(mark.dashed ? [6, 4] : []);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
  }
  ctx.restore();
}
