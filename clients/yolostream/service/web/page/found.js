// What is found in the picture that is shown, as a list.

// Records wait for their pictures, which are played with a lag: some seconds of a fast camera.
const MOST_RECORDS = 300;
// Seconds: no camera is as fast, and browsers round.
const SAME = 0.001;

export class FoundList {
  #video;
  #records = [];
  #asked = 0;
  #rows;
  #table;
  #nothing;

  // `video` shows the pictures; null where they do not tell their times: the newest record is listed.
  constructor(side, video) {
    this.#video = video && "requestVideoFrameCallback" in video ? video : null;
    [this.#rows, this.#table, this.#nothing] = ["tbody", "table", ".nothing"].map((part) => side.querySelector(part));
  }

  start() {
    this.#asked ||= this.#video?.requestVideoFrameCallback((_, { mediaTime }) => {
      this.#asked = 0;
      this.start();
      const shown = this.#records.findLast((record) => Math.abs(record.pts_seconds - mediaTime) < SAME);
      if (shown) this.#show(shown);
    });
  }

  rest() {
    this.#video?.cancelVideoFrameCallback(this.#asked);
    this.#asked = 0;
    this.#records = [];
    this.#table.hidden = this.#nothing.hidden = true;
  }

  add(record) {
    if (!this.#video) return this.#show(record);
    this.#records.push(record);
    if (this.#records.length > MOST_RECORDS) this.#records.shift();
  }

  #show({ detections }) {
    const found = detections.toSorted((a, b) => (a.track_id ?? Infinity) - (b.track_id ?? Infinity));
    const rows = this.#rows;
    while (rows.children.length > found.length) rows.lastElementChild.remove();
    while (rows.children.length < found.length) rows.insertRow().append(...[0, 1, 2].map(() => document.createElement("td")));
    found.forEach((one, index) => {
      const [number, name, certain] = rows.children[index].children;
      setText(number, one.track_id ? `#${one.track_id}` : "–");
      setText(name, one.class);
      setText(certain, `${Math.round(one.confidence * 100)} %`);
    });
    this.#table.hidden = !found.length;
    this.#nothing.hidden = found.length > 0;
  }
}

// Nothing is touched that stays the same: a page that changes nothing costs nothing.
export function setText(element, text) {
  if (element.textContent !== String(text)) element.textContent = text;
}
