// The page. It requests the state of the service once a second, and shows it.

import * as api from "./api.js";
import { Card } from "./card.js";
import { cameraDialog, removeDialog, tokenDialog } from "./dialogs.js";
import { Live } from "./live.js";
import { Plots } from "./plot.js";
import { summary } from "./words.js";

const REFRESH_MS = 1000;
// A message stays long enough to be read. It may cover controls, so it does not stay forever.
const NOTICE_MS = 10_000;
// Pairs: largest number of cameras, columns.
const COLUMNS = [[1, 1], [4, 2], [9, 3]];

const byId = (id) => document.getElementById(id);
const [grid, banners, title] = ["cameras", "banners", "title"].map(byId);

const live = new Live();
const plots = new Plots();
const cards = new Map();
const onScreen = new Set();
// Name of the camera that is shown large; null for all cameras.
let large = null;
let timer = 0;
let version = "";
let notice = "";
let noticedAt = 0;
let failures = 0;

// Cameras.

const seen = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) onScreen.add(target.dataset.camera);
      else onScreen.delete(target.dataset.camera);
    }
    playVisibleCameras();
  },
  { rootMargin: "80px" },
);

function playVisibleCameras() {
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
  refresh();
}

// The large camera. Its name is the fragment of the URL, so that it can be linked to.

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

function showBanners(problems) {
  if (Date.now() - noticedAt > NOTICE_MS) notice = "";
  const shown = [...problems, ...(notice ? [{ title: "That did not work.", words: notice }] : [])];
  const key = JSON.stringify(shown);
  if (banners.dataset.shown === key) return;
  banners.dataset.shown = key;
  banners.replaceChildren(...shown.map(bannerOf));
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
  leases: "The leases are not available.",
  configuration: "The configuration file is broken.",
};

// Refresh.

async function refresh() {
  clearTimeout(timer);
  try {
    const [cameras, overview] = await Promise.all([api.cameras(), api.overview()]);
    update(cameras, overview);
  } catch (problem) {
    // The dialog refreshes the page when it closes. Until then, each request would count as a failed login.
    if (problem.status === 401) return askForToken();
    showFailure(problem);
  }
  if (!document.hidden) timer = setTimeout(refresh, REFRESH_MS);
}

function update(cameras, overview) {
  // Another version of the service may have another page.
  if (version && overview.version !== version) return location.reload();
  version = overview.version;
  if (failures) live.retryNow();
  failures = 0;
  document.body.classList.remove("lost");
  document.body.classList.toggle("shared", overview.instance !== null);
  show(cameras);
  byId("capacity").textContent = overview.capacity.words;
  showBanners(overview.problems.map(({ kind, words }) => ({ title: TITLES[kind] ?? "", words })));
}

function showFailure(problem) {
  failures += 1;
  // A single failure may only be a late response.
  if (failures < 2) return;
  document.body.classList.add("lost");
  const away = { title: "The service does not answer.", words: "The page shows old data. It continues when the service is back." };
  showBanners([problem.status ? { title: "The service returns an error.", words: problem.message } : away]);
}

document.addEventListener("visibilitychange", () => {
  playVisibleCameras();
  if (!document.hidden) refresh();
});

const editing = cameraDialog(() => attempt(async () => {}));
const askToRemove = removeDialog(() => attempt(async () => {}));
const askForToken = tokenDialog(refresh);
byId("add").addEventListener("click", () => editing.add());
byId("add-first").addEventListener("click", () => editing.add());
refresh();
