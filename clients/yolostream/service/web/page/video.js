// Plays the fragments of one camera as they come, close to the newest, for days.

const Source = globalThis.ManagedMediaSource ?? globalThis.MediaSource;

// Seconds. How far behind the newest picture we play: as little as the camera's rhythm allows.
const LEAST_LAG = 0.12;
const MOST_LAG = 1.0;
const JUMP_LAG = 1.5;
const KEPT = 10;
const TRIM_AT = 30;
const TEND_MS = 100;
// The last picture is said to be shown for so long, for want of the next one (fragmented_mp4.py).
const SHOWN = 0.5;
const MOST_WAITING = 600;

export const canPlay = () => Boolean(Source?.isTypeSupported('video/mp4; codecs="avc1.42C01F"'));

export class Player {
  #video;
  #source = null;
  #buffer = null;
  #codec = "";
  #queue = [];
  #isWhole = false;
  #lag = LEAST_LAG;
  #timer = 0;
  #arrived = 0;

  constructor(video, onPicture) {
    this.#video = video;
    video.disableRemotePlayback = true;
    video.addEventListener("loadeddata", onPicture);
    video.addEventListener("error", () => this.#rebuild());
  }

  // When the last piece came, in ms of performance.now().
  get arrived() {
    return this.#arrived;
  }

  // The next piece is the header of a new video.
  begin(codec) {
    this.#arrived = performance.now();
    this.#timer ||= setInterval(() => this.#tend(), TEND_MS);
    if (codec !== this.#codec || !this.#source || this.#source.readyState === "ended") {
      this.#codec = codec;
      this.#rebuild();
    } else {
      // The picture that is shown stays until the first one of the new video.
      this.#queue = [{ clears: true }];
    }
    this.#isWhole = true;
    this.#feed();
  }

  add(data) {
    this.#arrived = performance.now();
    // What follows something that is missing cannot be decoded.
    if (!this.#isWhole) return;
    if (this.#queue.length > MOST_WAITING) {
      this.#isWhole = false;
      return;
    }
    this.#queue.push({ data });
    this.#feed();
  }

  // The connection is gone: what comes next begins with a header.
  lost() {
    this.#isWhole = false;
  }

  // Nobody looks any more. The last picture stays.
  rest() {
    clearInterval(this.#timer);
    this.#timer = 0;
    this.#isWhole = false;
    this.#queue = [];
    this.#video.pause();
  }

  close() {
    this.rest();
    this.#video.removeAttribute("src");
    this.#video.load();
    this.#source = this.#buffer = null;
  }

  #rebuild() {
    if (!this.#codec) return;
    this.#queue = [];
    this.#isWhole = false;
    this.#buffer = null;
    const source = (this.#source = new Source());
    source.addEventListener(
      "sourceopen",
      () => {
        if (source !== this.#source) return;
        this.#buffer = source.addSourceBuffer(`video/mp4; codecs="${this.#codec}"`);
        this.#buffer.addEventListener("updateend", () => this.#feed());
        this.#feed();
      },
      { once: true },
    );
    const old = this.#video.src;
    this.#video.src = URL.createObjectURL(source);
    if (old) URL.revokeObjectURL(old);
  }

  #feed() {
    const buffer = this.#buffer;
    if (!buffer || buffer.updating || this.#source.readyState !== "open") return;
    const next = this.#queue.shift();
    if (!next) {
      this.#follow();
      return;
    }
    try {
      if (next.clears) {
        buffer.abort();
        if (!buffer.buffered.length) this.#feed();
        else buffer.remove(0, Infinity);
      } else buffer.appendBuffer(next.data);
    } catch (error) {
      if (error.name === "QuotaExceededError") this.#trim(1);
      // The browser gave the decoder up: the next header begins anew.
      else this.#source = null;
      this.#isWhole = false;
    }
  }

  #tend() {
    this.#trim(TRIM_AT);
    this.#follow();
    // Without a stop for minutes: a little closer to the newest picture.
    this.#lag = Math.max(LEAST_LAG, this.#lag * 0.9997);
  }

  #follow() {
    const video = this.#video;
    const ranges = this.#buffer?.buffered;
    if (!ranges?.length || video.seeking) return;
    const begin = ranges.start(ranges.length - 1);
    const newest = ranges.end(ranges.length - 1) - SHOWN;
    const behind = newest - video.currentTime;
    if (video.currentTime < begin || behind > JUMP_LAG || behind < -SHOWN) {
      video.currentTime = Math.max(begin, newest - this.#lag);
    } else if (video.paused) {
      if (behind >= this.#lag) video.play().catch(() => {});
    } else if (behind < 0.02) {
      // The next picture is late: the clock may not run ahead of it, and we play farther behind.
      video.pause();
      this.#lag = Math.min(MOST_LAG, this.#lag + 0.06);
    } else {
      const over = behind - this.#lag;
      video.playbackRate = over > 0.6 ? 1.1 : over > 0.3 ? 1.05 : 1;
    }
  }

  #trim(length) {
    const buffer = this.#buffer;
    if (!buffer || buffer.updating || !buffer.buffered.length) return;
    const begin = buffer.buffered.start(0);
    const now = this.#video.currentTime;
    if (now - begin > length) buffer.remove(0, now - Math.min(length, KEPT));
  }
}
