// For browsers without Media Source Extensions: MJPEG for a few cameras, single pictures for the others.

import { pictureUrl, streamUrl } from "./api.js";

// Browsers open at most six connections to a server, and the page needs some of them.
const MAX_STREAMS = 3;
const PAUSE_MS = 1000;

let streams = 0;

export class Stills {
  #image;
  #camera;
  #timer = 0;
  #isStreaming = false;

  constructor(image, camera, onPicture) {
    this.#image = image;
    this.#camera = camera;
    image.addEventListener("load", () => {
      onPicture();
      if (!this.#isStreaming) this.#showLater(PAUSE_MS);
    });
    image.addEventListener("error", () => this.#showLater(2 * PAUSE_MS));
  }

  start() {
    if (this.#timer || this.#isStreaming) return;
    this.#isStreaming = streams < MAX_STREAMS;
    if (this.#isStreaming) streams += 1;
    this.#show();
  }

  stop() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    if (this.#isStreaming) streams -= 1;
    this.#isStreaming = false;
    this.#image.removeAttribute("src");
  }

  #show() {
    this.#image.src = this.#isStreaming ? streamUrl(this.#camera) : pictureUrl(this.#camera);
  }

  #showLater(ms) {
    clearTimeout(this.#timer);
    if (this.#image.src) this.#timer = setTimeout(() => this.#show(), ms);
  }
}
