// What players have in common: one clock, moment i at i / rate. While a film plays the film is the clock; without one a timer is.
// Everything of a moment is drawn in one go, so that nothing can run apart.
import { FilmView } from "/static/player/film.js";
import { fetchFloats, post } from "/static/player/fetching.js";

/** Controls, clock and film of a player. A child says what is shown beside the film. */
export class Transport {
  constructor(element) {
    this.element = element;
    this.stage = element.querySelector(".stage");
    this.state = element.querySelector(".player-state");
    this.slider = element.querySelector('input[type="range"]');
    this.button = element.querySelector(".play");
    this.speed = element.querySelector(".speed");
    this.said = element.querySelector(".moment-said");
    this.at = 0;
    this.playing = false;
    this.views = [];
  }

  async start() {
    this.about = await this.load();
    this.slider.max = this.about.n_frames - 1;
    this.listen();
    if (this.about.n_frames) this.show(0);
    await this.takeFilm(this.about.film);
  }

  listen() {
    for (const button of this.element.querySelectorAll("[data-go]")) {
      button.addEventListener("click", () => this.go(button.dataset.go));
    }
    this.button.addEventListener("click", () => this.toggle());
    this.slider.addEventListener("input", () => this.seek(Number(this.slider.value)));
    this.speed.addEventListener("change", () => this.setSpeed());
    this.element.addEventListener("keydown", (event) => this.press(event));
  }

  press(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest("select, button, input")) return;
    const ways = { ArrowLeft: "back", ArrowRight: "on", Home: "first", End: "last" };
    if (event.key === " ") this.toggle();
    else if (ways[event.key]) this.go(ways[event.key]);
    else return;
    event.preventDefault();
  }

  go(way) {
    this.pause();
    const last = this.about.n_frames - 1;
    const from = this.film?.wanted ?? this.at;
    this.seek({ first: 0, back: from - 1, on: from + 1, last }[way]);
  }

  seek(index) {
    const wanted = Math.min(Math.max(index, 0), this.about.n_frames - 1);
    if (this.film) this.film.seek(wanted);
    else this.show(wanted);
    this.begun = { moment: performance.now(), index: wanted };
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  play() {
    if (this.at >= this.about.n_frames - 1) this.seek(0);
    this.playing = true;
    this.button.textContent = "Pause";
    this.begun = { moment: performance.now(), index: this.at };
    if (this.film) this.film.play(Number(this.speed.value));
    else requestAnimationFrame((now) => this.tick(now));
  }

  pause() {
    this.playing = false;
    this.button.textContent = "Play";
    this.film?.pause();
  }

  setSpeed() {
    this.begun = { moment: performance.now(), index: this.at };
    if (this.playing) this.film?.play(Number(this.speed.value));
  }

  /** The clock of a trial without a film. */
  tick(now) {
    if (!this.playing || this.film) return;
    const passed = Math.max(now - this.begun.moment, 0) / 1000;
    const index = this.begun.index + Math.floor(passed * this.about.rate_hz * Number(this.speed.value));
    this.show(Math.min(index, this.about.n_frames - 1));
    if (index >= this.about.n_frames - 1) this.pause();
    else requestAnimationFrame((later) => this.tick(later));
  }

  /** Everything at one moment. */
  show(index) {
    this.at = index;
    for (const view of this.views) view.show(index);
    const text = this.describe(index);
    this.slider.value = index;
    this.slider.setAttribute("aria-valuetext", text);
    this.said.textContent = text;
    this.element.dataset.frame = index;
    this.follow(index);
  }

  async takeFilm(film) {
    this.element.dataset.film = film.state;
    if (film.state === "ready") await this.openFilm(film);
    else if (film.state === "making") this.watch(film.job);
    else if (film.state === "impossible") this.say(`No videos: ${film.reason}. ${this.withoutFilm}`);
    else this.offer(film.state === "failed" ? `The videos could not be prepared: ${film.reason}.` : "The videos are not prepared yet.");
  }

  async openFilm(film) {
    this.say([film.blurred?.says, film.notes.join(". ")].filter(Boolean).join(" "));
    const landmarks = await fetchFloats(film.landmarks.href);
    const view = new FilmView(this.element.querySelector(".panels"), this.about, film, landmarks);
    await view.open((index) => this.show(index), () => this.pause());
    this.pause();
    this.film = view;
    this.views.push(view);
    this.seek(this.at);
    this.element.dataset.open = "film";
  }

  offer(text) {
    if (!("mayMake" in this.element.dataset)) {
      this.say(`${text} A clinician can have them prepared here.`);
      return;
    }
    const button = document.createElement("button");
    button.type = "button";
    button.className = "make-film";
    button.textContent = "Prepare the videos";
    button.addEventListener("click", () => this.make(button));
    this.say(`${text} This is done once and takes about as long as the recording, or a few times that. `, button);
  }

  async make(button) {
    button.disabled = true;
    try {
      this.watch((await post(this.element.dataset.filmAt)).id);
    } catch (error) {
      this.say(`The videos cannot be prepared: ${error.message}.`);
    }
  }

  /** Wait for the job; who may not watch jobs is told that it goes on, and looks again now and then. */
  watch(job) {
    this.say("The videos are being prepared …");
    if (!("mayMake" in this.element.dataset)) {
      setTimeout(() => this.lookAgain(), 5000);
      return;
    }
    const source = new EventSource(`/api/v1/jobs/${job}/events`);
    source.addEventListener("job", (event) => {
      const told = JSON.parse(event.data);
      const left = told.time_left_s === null ? "" : `, about ${Math.ceil(told.time_left_s)} s left`;
      this.say(`The videos are being prepared: ${told.state}, ${Math.round(100 * told.progress)} %${left}`);
      if (["done", "failed", "cancelled"].includes(told.state)) {
        source.close();
        this.lookAgain();
      }
    });
  }

  async lookAgain() {
    await this.takeFilm((await this.load()).film);
  }

  say(...parts) {
    this.state.replaceChildren(...parts);
  }
}

/** The curves over the stride of the page stand at this share of it. */
export function tellPercent(percent) {
  document.dispatchEvent(new CustomEvent("stride-percent", { detail: percent }));
}

/** Start the player of an element; what keeps it from that is said in its place. */
export async function start(element, player) {
  try {
    await player.start();
  } catch (error) {
    element.querySelector(".player-state").textContent = `The player could not be started (${error.message}).`;
    throw error;
  }
  element.dataset.ready = "";
}
