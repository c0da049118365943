// The card of one camera.

import { FoundList, setText } from "./found.js";
import { Player, canPlay } from "./video.js";
import { Stills } from "./stills.js";
import { absenceOf, age, isAway, sentence, stateOf } from "./words.js";

// Time without video after which it is requested again.
const SILENCE_MS = 6000;

const template = document.getElementById("card");

export class Card {
  #live;
  #camera;
  #player = null;
  #stills = null;
  #isWanted = false;
  #isLarge = false;
  #requestedAt = 0;
  #list;
  #parts;

  // `on` has the functions pause(camera), edit(camera) and remove(camera).
  constructor(camera, live, on) {
    this.#live = live;
    this.#camera = camera;
    this.element = template.content.firstElementChild.cloneNode(true);
    this.element.dataset.camera = camera.name;
    const find = (selector) => this.element.querySelector(selector);
    this.#parts = {
      picture: find(".picture"), away: find(".away"), state: find(".state"), pause: find(".pause"),
      fps: find(".fps"), age: find(".age"), objects: find(".objects"), side: find(".side"),
    };
    find("h2").textContent = camera.name;
    this.#parts.picture.href = `#${camera.name}`;
    this.#label(find(".edit"), `Edit ${camera.name}`);
    this.#label(find(".remove"), `Remove ${camera.name}`);
    this.#parts.pause.onclick = () => on.pause(this.#camera);
    find(".edit").onclick = () => on.edit(this.#camera);
    find(".remove").onclick = () => on.remove(this.#camera);
    this.#addScreen();
    this.update(camera);
  }

  update(camera) {
    this.#camera = camera;
    const { state, pause, picture } = this.#parts;
    const { word, tone, icon } = stateOf(camera);
    state.dataset.tone = tone;
    setIcon(state, icon);
    setText(state.lastElementChild, word);
    picture.setAttribute("aria-label", `${camera.name}, ${word}${this.#isLarge ? "" : ": show it large"}`);
    const isPaused = camera.state === "disabled";
    setIcon(pause, isPaused ? "play" : "pause");
    this.#label(pause, `${isPaused ? "Resume" : "Pause"} ${camera.name}`);
    const here = !isAway(camera);
    setFigure(this.#parts.fps, here ? camera.frames_per_second.toFixed(1) : "–", "fps");
    setFigure(this.#parts.age, ...age(here ? camera.age_s : null));
    setFigure(this.#parts.objects, here ? camera.objects : "–", camera.objects === 1 ? "object" : "objects");
    this.#showAbsence();
    this.#startOrStop();
  }

  // Whether the card is visible.
  set isWanted(wanted) {
    if (wanted === this.#isWanted) return;
    this.#isWanted = wanted;
    this.#startOrStop();
  }

  set isLarge(large) {
    this.#isLarge = large;
    this.element.classList.toggle("large", large);
    this.#parts.side.hidden = !large;
    const { picture } = this.#parts;
    if (large) {
      // The link would lead to this view itself.
      picture.removeAttribute("href");
      picture.role = "img";
    } else {
      picture.removeAttribute("role");
      picture.href = `#${this.#camera.name}`;
    }
    if (large) this.#list.start();
    else this.#list.stop();
    this.#live.listen(this.#camera.name, large ? (record) => this.#list.add(record) : null);
  }

  focus() {
    this.#parts.picture.focus();
  }

  close() {
    this.#live.watch(this.#camera.name, null);
    this.#live.listen(this.#camera.name, null);
    this.#list.stop();
    this.#player?.close();
    this.#stills?.stop();
    this.element.remove();
  }

  #addScreen() {
    const onPicture = () => this.element.classList.add("has-picture");
    if (canPlay()) {
      const video = document.createElement("video");
      Object.assign(video, { muted: true, playsInline: true, tabIndex: -1 });
      video.setAttribute("aria-hidden", "true");
      this.#player = new Player(video, onPicture);
      this.#list = new FoundList(this.#parts.side, video);
      this.#parts.picture.prepend(video);
    } else {
      const image = document.createElement("img");
      image.alt = "";
      this.#stills = new Stills(image, this.#camera.name, onPicture);
      this.#list = new FoundList(this.#parts.side, null);
      this.#parts.picture.prepend(image);
    }
  }

  #startOrStop() {
    const { name, state } = this.#camera;
    const isWatched = this.#isWanted && !["disabled", "elsewhere"].includes(state);
    if (this.#stills) {
      if (isWatched) this.#stills.start();
      else this.#stills.stop();
      return;
    }
    this.#live.watch(name, isWatched ? this.#player : null);
    if (!isWatched) {
      this.#player.stop();
      this.#requestedAt = 0;
      return;
    }
    const now = performance.now();
    this.#requestedAt ||= now;
    const isSilent = now - Math.max(this.#requestedAt, this.#player.arrivedAt) > SILENCE_MS;
    if (!isAway(this.#camera) && isSilent) {
      this.#requestedAt = now;
      this.#live.restart(name);
    }
  }

  #showAbsence() {
    const { away } = this.#parts;
    away.hidden = !isAway(this.#camera);
    if (away.hidden) return;
    const isPaused = this.#camera.state === "disabled";
    const [headline, next] = absenceOf(this.#camera);
    setIcon(away, stateOf(this.#camera).icon);
    const [words, then, trouble] = away.querySelectorAll("strong, span, small");
    setText(words, headline);
    setText(then, next);
    setText(trouble, isPaused || !this.#camera.trouble ? "" : sentence(this.#camera.trouble));
  }

  #label(button, words) {
    setText(button.querySelector(".unseen"), words);
    button.title = words;
  }
}

function setIcon(element, icon) {
  const use = element.querySelector("use");
  if (use.getAttribute("href") !== `#icon-${icon}`) use.setAttribute("href", `#icon-${icon}`);
}

function setFigure(element, number, unit) {
  const words = `${number} ${unit}`;
  if (element.dataset.words === words) return;
  element.dataset.words = words;
  const strong = document.createElement("b");
  strong.textContent = number;
  element.replaceChildren(strong, ` ${unit}`);
}
