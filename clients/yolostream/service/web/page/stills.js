// For browsers that play no fragments: MJPEG for a few cameras, single pictures for the others.

import { pictureUrl, streamUrl } from "./api.js";

// A browser has six connections to a server, and the page needs some itself.
const MOST_STREAMS = 3;
const PAUSE_MS = 1000;

let streams = 0;

export class Stills {
  #image;
  #camera;
  #timer = 0;
  #streams = false;

  constructor(image, camera, onPicture) {
    this.#image = image;
    this.#camera = camera;
    image.addEventListener("load", () => {
      onPicture();
      if (!this.#streams) this.#next(PAUSE_MS);
    });
    image.addEventListener("error", () => this.#next(2 * PAUSE_MS));
  }

  start() {
    if (this.#timer || this.#streams) return;
    this.#streams = streams < MOST_STREAMS;
    if (this.#streams) streams += 1;
    this.#show();
  }

  rest() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    if (this.#streams) streams -= 1;
    this.#streams = false;
    this.#image.removeAttribute("src");
  }

  #show() {
    this.#image.src = this.#streams ? streamUrl(this.#camera) : pictureUrl(this.#camera);
  }

  #next(ms) {
    clearTimeout(this.#timer);
    if (this.#image.src) this.#timer = setTimeout(() => this.#show(), ms);
  }
}
