// The player of a trial: pictures, landmarks, skeleton and an angle at one moment.
import { AngleView } from "/static/player/angle.js";
import { SkeletonView } from "/static/player/skeleton.js";
import { fetchFloats, fetchJson } from "/static/player/fetching.js";
import { Transport, start, tellPercent } from "/static/player/transport.js";

class TrialPlayer extends Transport {
  withoutFilm = "Skeleton and curves are all there is.";

  async load() {
    const about = await fetchJson(this.element.dataset.href);
    if (!this.views.length) await this.see(about);
    return about;
  }

  async see(about) {
    const skeleton = await fetchFloats(about.skeleton.href);
    const angles = await fetchFloats(about.angle_values.href);
    this.views.push(new AngleView(this.element.querySelector(".time-chart"), about, angles, (i) => this.seek(i)));
    this.views.push(await SkeletonView.make(this.element.querySelector(".skeleton"), about, skeleton));
  }

  describe(index) {
    return `${(index / this.about.rate_hz).toFixed(3)} s, frame ${index + 1} of ${this.about.n_frames}`;
  }

  /** The curves over the stride follow, by right strides. */
  follow(index) {
    const seconds = index / this.about.rate_hz;
    const stride = this.about.strides.find((s) => s.side === "right" && s.begins_s <= seconds && seconds < s.ends_s);
    if (!stride) return;
    const percent = Math.round(100 * (seconds - stride.begins_s) / (stride.ends_s - stride.begins_s));
    if (percent !== this.percent) tellPercent(percent);
    this.percent = percent;
  }
}

for (const element of document.querySelectorAll(".trial-player")) start(element, new TrialPlayer(element));
