// The player of two visits: before and after at the same share of a stride, camera by camera.
import { fetchJson } from "/static/player/fetching.js";
import { Transport, start, tellPercent } from "/static/player/transport.js";

class PairPlayer extends Transport {
  withoutFilm = "";

  async load() {
    const film = await fetchJson(this.element.dataset.href);
    return { n_frames: film.n_frames, rate_hz: film.rate_hz, film };
  }

  describe(index) {
    return `${index % 100} % of stride ${Math.floor(index / 100) + 1} of ${this.about.n_frames / 100}`;
  }

  follow(index) {
    tellPercent(index % 100);
  }

  async takeFilm(film) {
    const ready = film.state === "ready";
    for (const part of this.element.querySelectorAll(".player-tools, .stage")) part.hidden = !ready;
    if (ready) this.about = { n_frames: film.n_frames, rate_hz: film.rate_hz, film };
    this.slider.max = Math.max(this.about.n_frames - 1, 0);
    await super.takeFilm(film);
    if (ready) this.offerCameras(film);
  }

  /** Panels come in pairs; one camera at a time is shown. */
  offerCameras(film) {
    const select = this.element.querySelector(".camera");
    const cameras = film.panels.filter((_, i) => i % 2 === 0).map((panel) => panel.camera);
    select.replaceChildren(...cameras.map((camera) => new Option(camera)));
    const choose = () => [...this.element.querySelectorAll(".panel")].forEach((figure, i) => {
      figure.hidden = Math.floor(i / 2) !== select.selectedIndex;
      figure.querySelector("figcaption").textContent = `${i % 2 ? "After" : "Before"}, ${film.panels[i].camera}`;
    });
    select.addEventListener("change", choose);
    choose();
  }
}

for (const element of document.querySelectorAll(".pair-player")) start(element, new PairPlayer(element));
