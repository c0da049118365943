// Add, change and remove a camera; show a token.

import * as api from "./api.js";
import { notSent, sent } from "./words.js";

const NUMBERS = ["fps", "confidence"];
const DEFAULTS = { track: true };

function open(dialog) {
  dialog.querySelector(".error").textContent = "";
  dialog.showModal();
}

// `onDone` is called with the name of a camera that was added or changed.
export function cameraDialog(onDone) {
  const dialog = document.getElementById("camera-dialog");
  const form = dialog.querySelector("form");
  const fields = form.elements;
  const result = document.getElementById("probed");
  const error = document.getElementById("camera-error");
  let edited = null;
  let before = {};
  let checked = "";

  const say = (words, tone) => {
    result.textContent = words || "\u00a0";
    result.dataset.tone = tone;
  };

  // Whether the camera answers as it is described.
  const check = async () => {
    const source = login(fields);
    checked = JSON.stringify(source);
    error.textContent = "";
    say("Looking at it…", "quiet");
    fields.check.disabled = true;
    try {
      const { video, error: fault } = await api.probe(source);
      if (video) say(`It answers: ${sent(video)}.`, "good");
      else say(notSent(fault), "bad");
      return Boolean(video);
    } catch (problem) {
      // Adding it would be refused in the same words: they have one place.
      say("", "quiet");
      error.textContent = problem.message;
      return false;
    } finally {
      fields.check.disabled = false;
    }
  };

  const save = async () => {
    error.textContent = faultOf(fields, edited);
    if (error.textContent) return;
    // The address as it is shown lacks what is secret: only another one can be looked at.
    const isNew = fields.source.value !== before.source && JSON.stringify(login(fields)) !== checked;
    if (isNew && !(await check())) {
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
    say("", "quiet");
    error.textContent = "";
    fields.save.textContent = edited ? "Save" : "Add";
  });

  const show = (name, said) => {
    form.reset();
    say("", "quiet");
    checked = "";
    edited = name;
    document.getElementById("camera-dialog-title").textContent = name ? `Edit ${name}` : "Add camera";
    fields.save.textContent = name ? "Save" : "Add";
    fields.name.value = name ?? "";
    fields.name.disabled = Boolean(name);
    for (const key of [...NUMBERS, "source", "classes", "username"]) fields[key].value = said[key] ?? "";
    fields.track.checked = said.track ?? true;
    before = name ? settings(fields) : {};
    open(dialog);
  };

  return {
    add: () => show(null, {}),
    edit: async (name) => show(name, (await api.camera(name)).settings),
  };
}

function login(fields) {
  const said = { source: fields.source.value.trim() };
  for (const key of ["username", "password"]) if (fields[key].value) said[key] = fields[key].value;
  return said;
}

function settings(fields) {
  const said = { username: null, ...login(fields), classes: fields.classes.value.trim() || null };
  for (const key of NUMBERS) said[key] = fields[key].value ? Number(fields[key].value) : null;
  return { ...said, track: fields.track.checked };
}

// What is new; what nobody has said is up to the defaults.
const differing = (said, before) =>
  Object.fromEntries(Object.entries(said).filter(([key, value]) => value !== (before[key] ?? DEFAULTS[key] ?? null)));

function faultOf(fields, edited) {
  if (!edited && !fields.name.validity.valid) {
    fields.name.focus();
    return "The name has to be 1 to 64 letters, digits, - and _, and to begin with a letter or digit.";
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
  // Some browsers close it all the same: it comes back where a token is still missing.
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
