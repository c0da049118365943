// The dialogs: add, change or remove a camera, and enter a token.

import * as api from "./api.js";
import { probeErrorWords, videoWords } from "./words.js";

const NUMBERS = ["fps", "confidence"];
const DEFAULTS = { track: true };

function open(dialog) {
  dialog.querySelector(".error").textContent = "";
  dialog.showModal();
}

// Calls `onDone` with the name of the camera that was added or changed.
export function cameraDialog(onDone) {
  const dialog = document.getElementById("camera-dialog");
  const form = dialog.querySelector("form");
  const fields = form.elements;
  const result = document.getElementById("probed");
  const error = document.getElementById("camera-error");
  let edited = null;
  let before = {};
  let checked = "";

  const showResult = (words, tone) => {
    result.textContent = words || "\u00a0";
    result.dataset.tone = tone;
  };

  // Probes the camera, shows the result, and returns whether it sends video.
  const check = async () => {
    const source = login(fields);
    checked = JSON.stringify(source);
    error.textContent = "";
    showResult("Checking…", "quiet");
    fields.check.disabled = true;
    try {
      const { video, error: fault } = await api.probe(source);
      if (video) showResult(`The camera works: ${videoWords(video)}.`, "good");
      else showResult(probeErrorWords(fault), "bad");
      return Boolean(video);
    } catch (problem) {
      // It is shown where an error of "Add" is shown, which would be the same one.
      showResult("", "quiet");
      error.textContent = problem.message;
      return false;
    } finally {
      fields.check.disabled = false;
    }
  };

  const save = async () => {
    error.textContent = faultOf(fields, edited);
    if (error.textContent) return;
    // The shown address lacks its secrets, so only a changed one can be probed.
    const isUnchecked = fields.source.value !== before.source && JSON.stringify(login(fields)) !== checked;
    if (isUnchecked && !(await check())) {
      fields.save.textContent = `${edited ? "Save" : "Add"} anyway`;
      return;
    }
    try {
      const name = edited ?? fields.name.value;
      if (edited) await api.changeCamera(name, differing(settings(fields), before));
      else await api.putCamera(name, differing(settings(fields), {}));
      dialog.close();
      onDone(name);
    } catch (problem) {
      error.textContent = problem.message;
    }
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    fields.save.disabled = true;
    await save();
    fields.save.disabled = false;
  });
  fields.check.addEventListener("click", () => fields.source.value && check());
  fields.cancel.addEventListener("click", () => dialog.close());
  fields.source.addEventListener("input", () => {
    showResult("", "quiet");
    error.textContent = "";
    fields.save.textContent = edited ? "Save" : "Add";
  });

  const show = (name, current) => {
    form.reset();
    showResult("", "quiet");
    checked = "";
    edited = name;
    document.getElementById("camera-dialog-title").textContent = name ? `Edit ${name}` : "Add camera";
    fields.save.textContent = name ? "Save" : "Add";
    fields.name.value = name ?? "";
    fields.name.disabled = Boolean(name);
    for (const key of [...NUMBERS, "source", "classes", "username"]) fields[key].value = current[key] ?? "";
    fields.track.checked = current.track ?? true;
    before = name ? settings(fields) : {};
    open(dialog);
  };

  return {
    add: () => show(null, {}),
    edit: async (name) => show(name, (await api.camera(name)).settings),
  };
}

function login(fields) {
  const values = { source: fields.source.value.trim() };
  for (const key of ["username", "password"]) if (fields[key].value) values[key] = fields[key].value;
  return values;
}

function settings(fields) {
  const values = { username: null, ...login(fields), classes: fields.classes.value.trim() || null };
  for (const key of NUMBERS) values[key] = fields[key].value ? Number(fields[key].value) : null;
  return { ...values, track: fields.track.checked };
}

// The settings that changed. Settings that equal the defaults are left to the service.
const differing = (values, before) =>
  Object.fromEntries(Object.entries(values).filter(([key, value]) => value !== (before[key] ?? DEFAULTS[key] ?? null)));

function faultOf(fields, edited) {
  if (!edited && !fields.name.validity.valid) {
    fields.name.focus();
    return "The name needs 1 to 64 letters, digits, - or _, and has to begin with a letter or digit.";
  }
  if (!fields.source.value.trim()) {
    fields.source.focus();
    return "The address of the camera is missing.";
  }
  const wrong = NUMBERS.map((key) => fields[key]).find((field) => !field.validity.valid);
  wrong?.focus();
  return wrong ? `${wrong.labels[0].firstChild.textContent.trim()}: ${wrong.validationMessage}` : "";
}

export function removeDialog(onDone) {
  const dialog = document.getElementById("remove-dialog");
  const fields = dialog.querySelector("form").elements;
  const error = document.getElementById("remove-error");
  let camera = "";
  dialog.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await api.removeCamera(camera);
      dialog.close();
      onDone();
    } catch (problem) {
      error.textContent = problem.message;
    }
  });
  fields.cancel.addEventListener("click", () => dialog.close());
  return (name) => {
    camera = name;
    document.getElementById("remove-title").textContent = `Remove ${name}?`;
    open(dialog);
    fields.cancel.focus();
  };
}

export function tokenDialog(onDone) {
  const dialog = document.getElementById("token-dialog");
  const fields = dialog.querySelector("form").elements;
  const error = document.getElementById("token-error");
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  // Some browsers close it nevertheless. It opens again if a token is still missing.
  dialog.addEventListener("close", () => onDone());
  dialog.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await api.logIn(fields.token.value);
      fields.token.value = "";
      dialog.close();
    } catch (problem) {
      error.textContent = problem.message;
    }
  });
  return () => dialog.open || open(dialog);
}
