// The page: asks the service once a second how all is, and shows it.

import * as api from "./api.js";
import { Card } from "./card.js";
import { cameraDialog, removeDialog, tokenDialog } from "./dialogs.js";
import { Live } from "./live.js";
import { Plots } from "./plot.js";
import { summary } from "./words.js";

const ASK_MS = 1000;
// Long enough to be read, and it may stand before what is to be done next.
const NOTICE_MS = 10_000;
const COLUMNS = [[1, 1], [4, 2], [9, 3]];

const byId = (id) => document.getElementById(id);
const [grid, banners, title] = ["cameras", "banners", "title"].map(byId);

const live = new Live();
const plots = new Plots();
const cards = new Map();
const onScreen = new Set();
let large = null;
let timer = 0;
let version = "";
let notice = "";
let noticedAt = 0;
let misses = 0;

// Cameras.

const seen = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) onScreen.add(target.dataset.camera);
      else onScreen.delete(target.dataset.camera);
    }
    wantWhatIsSeen();
  },
  { rootMargin: "80px" },
);

function wantWhatIsSeen() {
  for (const [name, card] of cards) card.isWanted = !document.hidden && onScreen.has(name);
}

function show(cameras) {
  const names = new Set(cameras.map((camera) => camera.name));
  for (const [name, card] of cards) {
    if (names.has(name)) continue;
    seen.unobserve(card.element);
    onScreen.delete(name);
    card.close();
    cards.delete(name);
  }
  for (const camera of cameras) {
    const card = cards.get(camera.name);
    if (card) card.update(camera);
    else add(camera);
  }
  const columns = COLUMNS.find(([most]) => cameras.length <= most)?.[1] ?? 4;
  grid.style.setProperty("--columns", columns);
  byId("empty").hidden = cameras.length > 0;
  byId("summary").textContent = summary(cameras);
  plots.add(cameras);
  route();
}

function add(camera) {
  const card = new Card(camera, live, { pause, edit, remove: (one) => askToRemove(one.name) });
  cards.set(camera.name, card);
  grid.append(card.element);
  seen.observe(card.element);
}

async function pause(camera) {
  await attempt(() => api.changeCamera(camera.name, { enabled: camera.state === "disabled" }));
}

async function edit(camera) {
  await attempt(() => editing.edit(camera.name));
}

async function attempt(action) {
  try {
    await action();
    notice = "";
  } catch (problem) {
    notice = problem.message;
    noticedAt = Date.now();
  }
  ask();
}

// One camera large: its name stands in the address, so that it can be linked to.

function route() {
  const name = decodeURIComponent(location.hash.slice(1));
  const wanted = cards.has(name) ? name : null;
  if (wanted === large) return;
  const before = large;
  large = wanted;
  document.body.classList.toggle("one", large !== null);
  for (const [each, card] of cards) card.isLarge = each === large;
  plots.shown = large;
  title.textContent = large ?? "Cameras";
  document.title = `${large ?? "Cameras"} · yolostream`;
  if (large === null) cards.get(before)?.focus();
  else title.focus();
  scrollTo(0, 0);
}

addEventListener("hashchange", route);
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && large && !document.querySelector("dialog[open]")) location.hash = "";
});

// Banners.

function tell(problems) {
  if (Date.now() - noticedAt > NOTICE_MS) notice = "";
  const words = [...problems, ...(notice ? [{ title: "That did not work.", words: notice }] : [])];
  const told = JSON.stringify(words);
  if (banners.dataset.told === told) return;
  banners.dataset.told = told;
  banners.replaceChildren(...words.map(bannerOf));
}

function bannerOf({ title, words }) {
  const banner = document.createElement("p");
  const strong = document.createElement("strong");
  strong.textContent = title;
  banner.append(strong, ` ${words}`);
  return banner;
}

const TITLES = {
  server: "Nothing is detected now.",
  leases: "Cameras cannot be shared out.",
  configuration: "The configuration file is broken.",
};

// Asking.

async function ask() {
  clearTimeout(timer);
  try {
    const [cameras, overview] = await Promise.all([api.cameras(), api.overview()]);
    found(cameras, overview);
  } catch (problem) {
    // It asks again when there is a token: a wrong one is counted each time.
    if (problem.status === 401) return askForToken();
    missed(problem);
  }
  if (!document.hidden) timer = setTimeout(ask, ASK_MS);
}

function found(cameras, overview) {
  // Another service may have another page.
  if (version && overview.version !== version) return location.reload();
  version = overview.version;
  if (misses) live.retryNow();
  misses = 0;
  document.body.classList.remove("lost");
  document.body.classList.toggle("shared", overview.instance !== null);
  show(cameras);
  byId("capacity").textContent = overview.capacity.words;
  tell(overview.problems.map(({ kind, words }) => ({ title: TITLES[kind] ?? "", words })));
}

function missed(problem) {
  misses += 1;
  // One answer may be late.
  if (misses < 2) return;
  document.body.classList.add("lost");
  const away = { title: "The service does not answer.", words: "What you see is of the past. The page goes on by itself when it is back." };
  tell([problem.status ? { title: "The service refuses to answer.", words: problem.message } : away]);
}

document.addEventListener("visibilitychange", () => {
  wantWhatIsSeen();
  if (!document.hidden) ask();
});

const editing = cameraDialog(() => attempt(async () => {}));
const askToRemove = removeDialog(() => attempt(async () => {}));
const askForToken = tokenDialog(ask);
byId("add").addEventListener("click", () => editing.add());
byId("add-first").addEventListener("click", () => editing.add());
ask();
