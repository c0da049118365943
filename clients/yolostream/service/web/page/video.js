// Plays the live video of one camera with Media Source Extensions.

const Source = globalThis.ManagedMediaSource ?? globalThis.MediaSource;

// Times are in seconds. The lag is the distance between the newest frame and the playback position.
// It adapts to the jitter of the camera.
const MIN_LAG = 0.12;
const MAX_LAG = 1.0;
const JUMP_LAG = 1.5;
// Played video is removed when more than TRIM_AT is buffered; KEPT stays.
const KEPT = 10;
const TRIM_AT = 30;
const MAINTAIN_MS = 100;
// Duration of the newest frame in the stream. The true one is not known yet (fragmented_mp4.py).
const LAST_FRAME = 0.5;
const MAX_QUEUED = 600;

export const canPlay = () => Boolean(Source?.isTypeSupported('video/mp4; codecs="avc1.42C01F"'));

export class Player {
  #video;
  #source = null;
  #buffer = null;
  #codec = "";
  #queue = [];
  // Whether all fragments since the last header arrived. Otherwise, the next ones cannot be decoded.
  #isComplete = false;
  #lag = MIN_LAG;
  #timer = 0;
  #arrivedAt = 0;

  constructor(video, onPicture) {
    this.#video = video;
    video.disableRemotePlayback = true;
    video.addEventListener("loadeddata", onPicture);
    video.addEventListener("error", () => this.#rebuild());
  }

  // Time at which the last fragment arrived, in ms of performance.now().
  get arrivedAt() {
    return this.#arrivedAt;
  }

  // Begins a new video, whose header is added next.
  begin(codec) {
    this.#arrivedAt = performance.now();
    this.#timer ||= setInterval(() => this.#maintain(), MAINTAIN_MS);
    if (codec !== this.#codec || !this.#source || this.#source.readyState === "ended") {
      this.#codec = codec;
      this.#rebuild();
    } else {
      // The old frame stays visible until the first frame of the new video.
      this.#queue = [{ clears: true }];
    }
    this.#isComplete = true;
    this.#feed();
  }

  add(data) {
    this.#arrivedAt = performance.now();
    if (!this.#isComplete) return;
    if (this.#queue.length > MAX_QUEUED) {
      this.#isComplete = false;
      return;
    }
    this.#queue.push({ data });
    this.#feed();
  }

  // The connection is lost. The next one begins with a header.
  lost() {
    this.#isComplete = false;
  }

  // Stops the playback. The last frame stays visible.
  stop() {
    clearInterval(this.#timer);
    this.#timer = 0;
    this.#isComplete = false;
    this.#queue = [];
    this.#video.pause();
  }

  close() {
    this.stop();
    this.#video.removeAttribute("src");
    this.#video.load();
    this.#source = this.#buffer = null;
  }

  #rebuild() {
    if (!this.#codec) return;
    this.#queue = [];
    this.#isComplete = false;
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
      this.#adjustPlayback();
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
      // The decoder has failed. The next header creates a new one.
      else this.#source = null;
      this.#isComplete = false;
    }
  }

  #maintain() {
    this.#trim(TRIM_AT);
    this.#adjustPlayback();
    // The lag shrinks slowly while the playback does not stall.
    this.#lag = Math.max(MIN_LAG, this.#lag * 0.9997);
  }

  #adjustPlayback() {
    const video = this.#video;
    const ranges = this.#buffer?.buffered;
    if (!ranges?.length || video.seeking) return;
    const begin = ranges.start(ranges.length - 1);
    const newest = ranges.end(ranges.length - 1) - LAST_FRAME;
    const behind = newest - video.currentTime;
    if (video.currentTime < begin || behind > JUMP_LAG || behind < -LAST_FRAME) {
      video.currentTime = Math.max(begin, newest - this.#lag);
    } else if (video.paused) {
      if (behind >= this.#lag) video.play().catch(() => {});
    } else if (behind < 0.02) {
      // The next frame is late. The playback waits for it, and then continues with a larger lag.
      video.pause();
      this.#lag = Math.min(MAX_LAG, this.#lag + 0.06);
    } else {
      const over = behind - this.#lag;
      video.playbackRate = over > 0.6 ? 1.1 : over > 0.3 ? 1.05 : 1;
    }
  }

  #trim(length) {
    const buffer = this.#buffer;
    if (!buffer || buffer.updating || !buffer.buffered.length) return;
    const begin = buffer.buffered.start(0);
    const position = this.#video.currentTime;
    if (position - begin > length) buffer.remove(0, position - Math.min(length, KEPT));
  }
}
