// Plots of the last minutes: the number of objects, and the age of the results.

/* global uPlot */

// Length of the time axis.
const SECONDS = 300;
// Possible distances of two labels on the time axis, in seconds. Labels have no seconds.
const TICK_SECONDS = [60, 120, 300];
const COLORS = {
  light: ["#0b5bd3", "#b45309", "#0b7a52", "#a3278f", "#5b4bc4", "#b4231a", "#0e7490", "#5d6b16"],
  dark: ["#6aaeff", "#f3a64a", "#4fd6a0", "#f08be0", "#a99bff", "#ff8f86", "#4cc9dd", "#c2d05a"],
};

const scheme = matchMedia("(prefers-color-scheme: dark)");

export class Plots {
  #section = document.getElementById("plots");
  #legend = document.getElementById("legend");
  #plots = [
    { element: document.getElementById("plot-objects"), value: (camera) => camera.objects, chart: null },
    { element: document.getElementById("plot-age"), value: (camera) => camera.age_s && camera.age_s * 1000, chart: null },
  ];
  #times = [];
  #series = new Map();
  #shown = null;
  #names = "";

  constructor() {
    scheme.addEventListener("change", () => this.#build());
    new ResizeObserver(() => this.#resize()).observe(this.#section);
  }

  // Name of the camera whose curves are shown; null for all cameras.
  set shown(name) {
    this.#shown = name;
    this.#names = "";
    this.#draw();
  }

  add(cameras) {
    this.#section.hidden = !cameras.length;
    const now = Date.now() / 1000;
    this.#times.push(now);
    for (const camera of cameras) {
      if (!this.#series.has(camera.name)) {
        const before = Array(this.#times.length - 1).fill(null);
        this.#series.set(camera.name, this.#plots.map(() => [...before]));
      }
    }
    const ofName = new Map(cameras.map((camera) => [camera.name, camera]));
    for (const [name, columns] of this.#series) {
      const camera = ofName.get(name);
      if (!camera) this.#series.delete(name);
      const isLive = camera?.state === "live" || camera?.state === "running";
      columns.forEach((column, index) => column.push(isLive ? this.#plots[index].value(camera) : null));
    }
    while (this.#times[0] < now - SECONDS) {
      this.#times.shift();
      for (const columns of this.#series.values()) for (const column of columns) column.shift();
    }
    this.#draw();
  }

  get #rows() {
    const rows = [...this.#series].map(([name, columns], index) => ({ name, columns, color: color(index) }));
    return rows.filter(({ name }) => this.#shown === null || name === this.#shown);
  }

  #draw() {
    const names = this.#rows.map(({ name }) => name).join();
    if (names !== this.#names) {
      this.#names = names;
      this.#build();
    }
    this.#plots.forEach(({ chart }, index) => {
      chart?.setData([this.#times, ...this.#rows.map(({ columns }) => columns[index])]);
    });
  }

  #build() {
    const rows = this.#rows;
    const style = getComputedStyle(document.documentElement);
    const axis = {
      stroke: style.getPropertyValue("--quiet"),
      grid: { stroke: style.getPropertyValue("--line"), width: 1 },
      ticks: { show: false },
      font: `12px ${getComputedStyle(document.body).fontFamily}`,
    };
    for (const plot of this.#plots) {
      plot.chart?.destroy();
      const options = {
        ...size(plot.element),
        // The label of the newest time needs space on the right.
        padding: [12, 20, 4, 0],
        legend: { show: false },
        cursor: { show: false },
        scales: {
          x: { range: () => [Date.now() / 1000 - SECONDS, Date.now() / 1000] },
          y: { range: (_, __, max) => [0, Math.max(4, (max ?? 0) * 1.15)] },
        },
        axes: [{ ...axis, values: clock, incrs: TICK_SECONDS, space: 70, size: 28 }, { ...axis, size: 44, space: 36 }],
        series: [{}, ...rows.map(({ color }) => ({ stroke: color, width: 2, points: { show: false } }))],
      };
      plot.chart = new uPlot(options, [[], ...rows.map(() => [])], plot.element);
      plot.chart.root.setAttribute("aria-hidden", "true");
    }
    this.#legend.replaceChildren(...rows.map(legendOf));
  }

  #resize() {
    for (const { chart, element } of this.#plots) chart?.setSize(size(element));
  }
}

const color = (index) => COLORS[scheme.matches ? "dark" : "light"][index % 8];
const size = (element) => ({ width: Math.max(200, element.clientWidth), height: element.clientHeight });
const clock = (_, times) => times.map((time) => new Date(time * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }));

function legendOf({ name, color }) {
  const item = document.createElement("li");
  const [line, words] = ["i", "span"].map((tag) => document.createElement(tag));
  words.textContent = name;
  item.style.color = color;
  item.append(line, words);
  return item;
}
