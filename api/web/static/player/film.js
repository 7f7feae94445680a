// The film of a trial: one video that holds all cameras' pictures of a moment, taken apart again into a canvas each.
// What is drawn is what the number in the picture says, not what the browser says that it shows: that may be a frame off.
import { colourOf } from "/static/chart.js";

export class FilmView {
  constructor(place, about, film, landmarks) {
    Object.assign(this, { about, film, landmarks, wanted: null });
    // Never in the page itself: it is drawn from, camera by camera.
    this.video = document.createElement("video");
    Object.assign(this.video, { muted: true, playsInline: true, preload: "auto" });
    [this.whole, this.number] = [film.size_px, [film.number.bits * film.number.block_px, film.number.block_px]].map(([width, height]) => Object.assign(document.createElement("canvas"), { width, height }));
    this.picture = this.whole.getContext("2d");
    this.blocks = this.number.getContext("2d", { willReadFrequently: true });
    this.panels = film.panels.map((panel, i) => new Panel(panel, film, landmarks, film.thighs?.[i]));
    place.replaceChildren(...this.panels.map((panel) => panel.figure));
  }

  /** Load; `onFrame` is called with the number of every frame that stands in the video, `onEnd` at the end. */
  async open(onFrame, onEnd) {
    this.onFrame = onFrame;
    this.video.addEventListener("seeked", () => this.arrive());
    this.video.addEventListener("ended", onEnd);
    const loaded = new Promise((resolve, reject) => {
      this.video.addEventListener("loadeddata", resolve, { once: true });
      this.video.addEventListener("error", () => reject(new Error("the browser cannot play the film")), { once: true });
    });
    this.video.src = this.film.href;
    await loaded;
  }

  seek(index) {
    this.wanted = index;
    if (!this.underWay) this.depart();
  }

  depart() {
    this.underWay = true;
    this.target = this.wanted;
    // The middle of the frame: no rounding leads to its neighbour.
    this.video.currentTime = (this.target + 0.5) / this.about.rate_hz;
  }

  arrive() {
    this.underWay = false;
    if (this.wanted !== null && this.wanted !== this.target) this.depart();
    else if (this.video.paused) this.tell();
  }

  /** Take the picture that stands in the video, once for all cameras, and tell which it is. */
  tell() {
    this.wanted = null;
    this.picture.drawImage(this.video, 0, 0);
    this.onFrame(Math.min(this.readNumber(), this.about.n_frames - 1));
  }

  readNumber() {
    const { top, bits, block_px: block } = this.film.number;
    const { width, height } = this.number;
    this.blocks.drawImage(this.whole, 0, top, width, height, 0, 0, width, height);
    const pixels = this.blocks.getImageData(0, 0, width, height).data;
    const middle = (k) => pixels[4 * (width * (block / 2) + block * k + block / 2)];
    return Array.from({ length: bits }, (_, k) => middle(k)).reduce((number, light) => 2 * number + (light > 127 ? 1 : 0), 0);
  }

  play(speed) {
    this.video.playbackRate = speed;
    if (this.video.paused) this.video.play();
    if (!this.following) this.follow();
  }

  follow() {
    this.following = this.video.requestVideoFrameCallback(() => {
      this.following = null;
      this.tell();
      if (!this.video.paused) this.follow();
    });
  }

  pause() {
    if (this.video.paused) return;
    this.video.pause();
    this.seek(Math.min(Math.floor(this.video.currentTime * this.about.rate_hz), this.about.n_frames - 1));
  }

  show(index) {
    for (const panel of this.panels) panel.draw(this.whole, index);
  }
}

class Panel {
  constructor(panel, film, landmarks, thigh) {
    Object.assign(this, { panel, landmarks, thigh });
    this.perFrame = 2 * film.landmarks.shape[1];
    this.figure = document.createElement("figure");
    this.figure.className = "panel";
    this.canvas = document.createElement("canvas");
    Object.assign(this.canvas, { width: panel.width, height: panel.height });
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", `Picture of camera ${panel.camera} with its landmarks`);
    const caption = document.createElement("figcaption");
    caption.textContent = panel.camera;
    this.figure.append(this.canvas, caption);
    this.context = this.canvas.getContext("2d");
  }

  draw(picture, index) {
    const { left, top, width, height, bones, sides } = this.panel;
    const from = index * this.perFrame + 2 * this.panel.first_landmark;
    const points = sides.map((_, k) => [this.landmarks[from + 2 * k] - left, this.landmarks[from + 2 * k + 1] - top]);
    this.context.drawImage(picture, left, top, width, height, 0, 0, width, height);
    this.context.lineWidth = Math.max(1.5, height / 240);
    for (const [a, b] of bones) this.line(points[a], points[b], sides[a] === sides[b] ? sides[a] : "both");
    points.forEach((point, k) => this.dot(point, sides[k]));
    if (this.thigh) this.trail(points[this.thigh[0]], points[this.thigh[1]], sides[this.thigh[0]]);
  }

  /** The thigh as a thick line, and the vertical through the hip that it is read against. */
  trail(hip, knee, side) {
    if (Number.isNaN(hip[0]) || Number.isNaN(knee[0])) return;
    const length = 1.3 * Math.hypot(knee[0] - hip[0], knee[1] - hip[1]);
    this.context.setLineDash([6, 5]);
    this.line(hip, [hip[0], hip[1] + length], "both");
    this.context.setLineDash([]);
    this.context.lineWidth *= 3;
    this.line(hip, knee, side);
    this.context.lineWidth /= 3;
  }

  line([x1, y1], [x2, y2], side) {
    if (Number.isNaN(x1) || Number.isNaN(x2)) return;
    this.context.strokeStyle = inkOf(side);
    this.context.beginPath();
    this.context.moveTo(x1, y1);
    this.context.lineTo(x2, y2);
    this.context.stroke();
  }

  dot([x, y], side) {
    if (Number.isNaN(x)) return;
    this.context.fillStyle = inkOf(side);
    this.context.beginPath();
    this.context.arc(x, y, this.context.lineWidth * 1.4, 0, 2 * Math.PI);
    this.context.fill();
  }
}

/** Over pictures the same in light and dark: it is the picture that they must stand out from. */
function inkOf(side) {
  return colourOf(`over-${side}`);
}
