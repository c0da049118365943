// The list of the objects in the frame that is shown.

// Records are kept until their frames are shown, because the video plays with a lag.
const MAX_RECORDS = 300;
// In seconds. It covers the rounding of browsers, and is shorter than any interval of frames.
const TIME_TOLERANCE = 0.001;

export class FoundList {
  #video;
  #records = [];
  #callback = 0;
  #rows;
  #table;
  #nothing;

  // `video` tells which frame is shown. Without it, the newest record is listed.
  constructor(side, video) {
    this.#video = video && "requestVideoFrameCallback" in video ? video : null;
    [this.#rows, this.#table, this.#nothing] = ["tbody", "table", ".nothing"].map((part) => side.querySelector(part));
  }

  start() {
    this.#callback ||= this.#video?.requestVideoFrameCallback((_, { mediaTime }) => {
      this.#callback = 0;
      this.start();
      const shown = this.#records.findLast((record) => Math.abs(record.pts_seconds - mediaTime) < TIME_TOLERANCE);
      if (shown) this.#show(shown);
    });
  }

  stop() {
    this.#video?.cancelVideoFrameCallback(this.#callback);
    this.#callback = 0;
    this.#records = [];
    this.#table.hidden = this.#nothing.hidden = true;
  }

  add(record) {
    if (!this.#video) return this.#show(record);
    this.#records.push(record);
    if (this.#records.length > MAX_RECORDS) this.#records.shift();
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

// Assigning the same text would make the browser render the element again.
export function setText(element, text) {
  if (element.textContent !== String(text)) element.textContent = text;
}
