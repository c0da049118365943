// The one WebSocket over which the video of all cameras on the page comes.

import { liveUrl } from "./api.js";

const WAIT_MS = [300, 10_000];

export class Live {
  #socket = null;
  #video = new Map();
  #found = new Map();
  #waitMs = WAIT_MS[0];
  #timer = 0;
  #told = "";
  #asked = false;

  // `player` has begin(codec), add(data) and lost(). It is fed from now on, or no more where null.
  watch(camera, player) {
    set(this.#video, camera, player);
    this.#tell();
  }

  // `onFound` is called with the record of each frame; null ends it.
  listen(camera, onFound) {
    set(this.#found, camera, onFound);
    this.#tell();
  }

  // Nothing comes of a camera that should send: ask for it anew.
  again(camera) {
    const player = this.#video.get(camera);
    this.watch(camera, null);
    this.#say();
    this.watch(camera, player);
  }

  // The service answers again: do not wait for the next attempt.
  retryNow() {
    if (this.#timer) this.#connect();
  }

  #tell() {
    // Several changes of one moment become one message.
    if (this.#asked) return;
    this.#asked = true;
    queueMicrotask(() => {
      this.#asked = false;
      this.#say();
    });
  }

  #say() {
    const wanted = JSON.stringify({ video: [...this.#video.keys()], detections: [...this.#found.keys()] });
    const isIdle = !this.#video.size && !this.#found.size;
    if (!this.#socket && !this.#timer && !isIdle) this.#connect();
    if (this.#socket?.readyState !== WebSocket.OPEN || wanted === this.#told) return;
    this.#told = wanted;
    this.#socket.send(wanted);
  }

  #connect() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    const socket = new WebSocket(liveUrl());
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.#told = "";
      this.#say();
    };
    socket.onmessage = ({ data }) => {
      this.#waitMs = WAIT_MS[0];
      if (typeof data === "string") this.#take(JSON.parse(data));
      else this.#takeFragment(data);
    };
    socket.onclose = () => {
      this.#socket = null;
      for (const player of this.#video.values()) player.lost();
      this.#timer = setTimeout(() => this.#connect(), this.#waitMs * (0.5 + Math.random() / 2));
      this.#waitMs = Math.min(2 * this.#waitMs, WAIT_MS[1]);
    };
    this.#socket = socket;
  }

  #take(message) {
    if (message.codec) this.#video.get(message.camera)?.begin(message.codec);
    if (message.found) this.#found.get(message.camera)?.(message.found);
  }

  #takeFragment(data) {
    const length = new Uint8Array(data, 0, 1)[0];
    const camera = new TextDecoder().decode(new Uint8Array(data, 1, length));
    this.#video.get(camera)?.add(new Uint8Array(data, 1 + length));
  }
}

function set(map, key, value) {
  if (value) map.set(key, value);
  else map.delete(key);
}
