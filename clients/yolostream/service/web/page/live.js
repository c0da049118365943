// Receives the video and the detections of all cameras over one WebSocket.

import { liveUrl } from "./api.js";

// Shortest and longest time before a new connection.
const RETRY_MS = [300, 10_000];

export class Live {
  #socket = null;
  #video = new Map();
  #found = new Map();
  #retryMs = RETRY_MS[0];
  #timer = 0;
  #sent = "";
  #isScheduled = false;

  // Sends the video of a camera to `player`, which has begin(codec), add(data) and lost(). Null ends it.
  watch(camera, player) {
    set(this.#video, camera, player);
    this.#schedule();
  }

  // Calls `onFound` with the record of each frame of a camera. Null ends it.
  listen(camera, onFound) {
    set(this.#found, camera, onFound);
    this.#schedule();
  }

  // Subscribes to the video of a camera again, because none arrives.
  restart(camera) {
    const player = this.#video.get(camera);
    this.watch(camera, null);
    this.#subscribe();
    this.watch(camera, player);
  }

  // The service answers again, so the next attempt need not wait.
  retryNow() {
    if (this.#timer) this.#connect();
  }

  #schedule() {
    // All changes of one task are sent in one message.
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      this.#subscribe();
    });
  }

  #subscribe() {
    const wanted = JSON.stringify({ video: [...this.#video.keys()], detections: [...this.#found.keys()] });
    const isIdle = !this.#video.size && !this.#found.size;
    if (!this.#socket && !this.#timer && !isIdle) this.#connect();
    if (this.#socket?.readyState !== WebSocket.OPEN || wanted === this.#sent) return;
    this.#sent = wanted;
    this.#socket.send(wanted);
  }

  #connect() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    const socket = new WebSocket(liveUrl());
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.#sent = "";
      this.#subscribe();
    };
    socket.onmessage = ({ data }) => {
      this.#retryMs = RETRY_MS[0];
      if (typeof data === "string") this.#onText(JSON.parse(data));
      else this.#onFragment(data);
    };
    socket.onclose = () => {
      this.#socket = null;
      for (const player of this.#video.values()) player.lost();
      this.#timer = setTimeout(() => this.#connect(), this.#retryMs * (0.5 + Math.random() / 2));
      this.#retryMs = Math.min(2 * this.#retryMs, RETRY_MS[1]);
    };
    this.#socket = socket;
  }

  #onText(message) {
    if (message.codec) this.#video.get(message.camera)?.begin(message.codec);
    if (message.found) this.#found.get(message.camera)?.(message.found);
  }

  #onFragment(data) {
    const length = new Uint8Array(data, 0, 1)[0];
    const camera = new TextDecoder().decode(new Uint8Array(data, 1, length));
    this.#video.get(camera)?.add(new Uint8Array(data, 1 + length));
  }
}

function set(map, key, value) {
  if (value) map.set(key, value);
  else map.delete(key);
}
