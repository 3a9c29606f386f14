// The page, made of what /models and /openapi.json tell. It asks this server only, and what
// others wrote gets into it as text, never as HTML.

export const BASE = new URL("../", import.meta.url);
const SLOW_MS = 1500;
const MOST_TEXTS = 6;
const KEY = "zeropoint-key";
const LANGUAGE = "zeropoint-language";

// Every text, in English and German. {0} stands for a value.
export const TEXTS = {
  skip: ["Skip to the content", "Zum Inhalt"],
  language: ["Language", "Sprache"],
  title: ["Ask a model", "Frag ein Modell"],
  intro: ["Give it an input, and see the answer and how it came about.",
    "Gib ihm eine Eingabe und sieh die Antwort, und wie sie zustande kam."],
  privacy: ["What you give goes to this server only.", "Was du eingibst, geht nur an diesen Server."],
  model: ["Model", "Modell"],
  "model.about": ["version {0}, {1}", "Version {0}, {1}"],
  "state.absent": ["asleep: its first call loads it", "schläft: der erste Aufruf lädt es"],
  "state.evicted": ["asleep: its next call loads it", "schläft: der nächste Aufruf lädt es"],
  "state.loading": ["being loaded", "wird geladen"],
  "state.ready": ["awake", "wach"],
  "state.failed": ["could not be loaded", "konnte nicht geladen werden"],
  "task.image-classification": ["says what a photo shows", "sagt, was ein Foto zeigt"],
  "task.object-detection": ["finds things in a photo", "findet Dinge in einem Foto"],
  "task.tabular-classification": ["tells the class of a row", "nennt die Klasse einer Zeile"],
  "task.tabular-regression": ["estimates numbers", "schätzt Zahlen"],
  "task.text-classification": ["tells the kind of a text", "nennt die Art eines Textes"],
  "task.text-embedding": ["compares texts by meaning", "vergleicht Texte nach Bedeutung"],
  "task.text-generation": ["writes, and answers", "schreibt und antwortet"],
  "task.tensor": ["tensors in and out", "Tensoren hinein und heraus"],
  ask: ["Your input", "Deine Eingabe"],
  send: ["Ask", "Fragen"],
  again: ["Try again", "Noch einmal"],
  example: ["Example", "Beispiel"],
  options: ["Options", "Optionen"],
  "option.top_k": ["Number of labels", "Anzahl der Labels"],
  "option.threshold": ["Threshold, 0 to 1", "Schwelle, 0 bis 1"],
  "option.max_detections": ["Most things found", "Höchstzahl der Funde"],
  "option.default": ["the model's own", "wie im Modell"],
  "photo.choose": ["Choose a photo", "Foto auswählen"],
  "photo.other": ["Choose another photo", "Anderes Foto auswählen"],
  "photo.how": ["or drop it here, or paste it", "oder hierher ziehen oder einfügen"],
  "photo.take": ["Take a photo", "Foto aufnehmen"],
  "photo.unseen": ["This browser cannot show this file.", "Dieser Browser kann diese Datei nicht zeigen."],
  "photo.alt": ["The photo {0}", "Das Foto {0}"],
  "row.missing": ["missing", "fehlt"],
  "row.choose": ["choose", "auswählen"],
  "row.taken": ["missing is taken as {0}", "fehlt es, gilt {0}"],
  true: ["yes", "ja"],
  false: ["no", "nein"],
  text: ["Text", "Text"],
  "text.n": ["Text {0}", "Text {0}"],
  "text.more": ["Add a text", "Text hinzufügen"],
  "text.fewer": ["Remove the last", "Letzten entfernen"],
  "text.about": ["Several texts are compared; a single one gives its vector.",
    "Mehrere Texte werden verglichen; ein einzelner ergibt seinen Vektor."],
  json: ["Instance, as JSON", "Instanz, als JSON"],
  answer: ["Answer", "Antwort"],
  "answer.empty": ["It will be here.", "Sie erscheint hier."],
  "answer.come": ["The answer: {0}", "Die Antwort: {0}"],
  wait: ["Waiting for the answer …", "Warten auf die Antwort …"],
  "wait.cold": ["This takes longer. Most likely the function wakes up: it starts and loads its model, once. The next calls are quick.",
    "Das dauert länger. Wahrscheinlich wacht die Funktion auf: Sie startet und lädt ihr Modell, einmalig. Die nächsten Aufrufe sind schnell."],
  unknown: ["The model cannot tell", "Das Modell weiß es nicht"],
  tokens: ["{0} tokens", "{0} Tokens"],
  truncated: ["The text was longer than the model reads; its end was left out.",
    "Der Text war länger, als das Modell liest; sein Ende blieb weg."],
  found: ["Found {0}", "Gefunden: {0}"],
  "found.none": ["Nothing found. A lower threshold, under Options, finds more.",
    "Nichts gefunden. Eine niedrigere Schwelle, unter Optionen, findet mehr."],
  limit: ["“{0}” is told from a probability of {2} on; here it is {1}.",
    "„{0}“ wird ab einer Wahrscheinlichkeit von {2} genannt; hier sind es {1}."],
  threshold: ["threshold {0}", "Schwelle {0}"],
  number: ["Estimate", "Schätzung"],
  similarity: ["Similarity", "Ähnlichkeit"],
  "similarity.about": ["1 means the same; near 0, nothing in common.",
    "1 heißt: dasselbe; nahe 0: nichts gemeinsam."],
  "similarity.best": ["Texts {0} and {1} are closest", "Texte {0} und {1} sind sich am nächsten"],
  vector: ["A vector of {0} numbers", "Ein Vektor aus {0} Zahlen"],
  "vector.about": ["It begins with {0}. Texts of like meaning have like vectors.",
    "Er beginnt mit {0}. Texte ähnlicher Bedeutung haben ähnliche Vektoren."],
  tensor: ["Output {0}", "Ausgabe {0}"],
  raw: ["Raw JSON", "JSON, wie es kam"],
  how: ["How it came about", "Wie sie zustande kam"],
  "how.this": ["This call", "Dieser Aufruf"],
  "how.cold": ["Once, before it: the cold start", "Davor, einmalig: der Kaltstart"],
  "how.cold.about": ["The model's first answer since it was loaded. Calls that came meanwhile waited; later ones do not.",
    "Die erste Antwort des Modells, seit es geladen wurde. Aufrufe, die währenddessen kamen, warteten; spätere nicht."],
  "how.total": ["Round trip", "Hin und zurück"],
  "how.sum": ["Cold start", "Kaltstart"],
  "step.queue": ["wait", "warten"],
  "step.prepare": ["prepare", "vorbereiten"],
  "step.execute": ["execute", "ausführen"],
  "step.output": ["output", "ausgeben"],
  "step.way": ["network, the rest", "Netz und Übriges"],
  "cold.process": ["start the process", "Prozess starten"],
  "cold.read": ["read and verify", "lesen und prüfen"],
  "cold.imports": ["import", "importieren"],
  "cold.session": ["build the session", "Sitzung aufbauen"],
  "cold.check": ["known answer", "bekannte Antwort"],
  repeat: ["Repeat this call", "Diesen Aufruf wiederholen"],
  copy: ["Copy", "Kopieren"],
  copied: ["Copied", "Kopiert"],
  "key.title": ["This function asks for a key", "Diese Funktion verlangt einen Schlüssel"],
  "key.about": ["It goes with each call as X-API-Key, and stays in this tab until you close it.",
    "Er geht mit jedem Aufruf als X-API-Key mit und bleibt in diesem Tab, bis du ihn schließt."],
  "key.label": ["Key", "Schlüssel"],
  "key.use": ["Use it", "Verwenden"],
  "key.wrong": ["The server does not take this key. Is a character missing, or one too many?",
    "Der Server nimmt diesen Schlüssel nicht an. Fehlt ein Zeichen, oder ist eines zu viel?"],
  "key.forget": ["Forget the key", "Schlüssel vergessen"],
  said: ["The server said: {0}", "Der Server sagt (auf Englisch): {0}"],
  after: ["It may work again in {0} s.", "In {0} s kann es wieder gehen."],
};

// Of each problem what happened and what to do, in English and German; most are a refusal's code.
export const PROBLEMS = {
  no_photo: [["No photo yet", "Choose one first."], ["Noch kein Foto", "Wähle zuerst eines aus."]],
  no_json: [["This is not JSON yet", "Is a comma, a quote or a bracket missing?"],
    ["Das ist noch kein JSON", "Fehlt ein Komma, ein Anführungszeichen oder eine Klammer?"]],
  no_models: [["No models here", "Put one into this server's repository, and reload the page."],
    ["Hier sind keine Modelle", "Lege eines in das Verzeichnis dieses Servers und lade die Seite neu."]],
  away: [["The server does not answer", "It has ended, or the network is away. Try again in a moment."],
    ["Der Server antwortet nicht", "Er wurde beendet, oder das Netz ist weg. Versuche es gleich noch einmal."]],
  other: [["It did not work", "The answer had the status {0}. Try again, or ask whoever runs this server."],
    ["Das ging nicht", "Die Antwort hatte den Status {0}. Versuche es noch einmal, oder frage, wer den Server betreibt."]],
  forbidden: [["No permission", "What stands before this function let the call not through. Sign in there."],
    ["Keine Berechtigung", "Was vor dieser Funktion steht, ließ den Aufruf nicht durch. Melde dich dort an."]],
  malformed: [["The server could not read this", "The input is empty or broken. Check it and send it again."],
    ["Der Server konnte das nicht lesen", "Die Eingabe ist leer oder beschädigt. Prüfe sie und schicke sie noch einmal."]],
  image_broken: [["The picture is damaged", "Save it again, or choose another one."],
    ["Das Bild ist beschädigt", "Speichere es neu, oder wähle ein anderes."]],
  unauthorized: [["The key is missing or wrong", "Type this function's key."],
    ["Der Schlüssel fehlt oder ist falsch", "Gib den Schlüssel dieser Funktion ein."]],
  route_not_found: [["The server does not know this address", "It may have been updated. Reload the page."],
    ["Der Server kennt diese Adresse nicht", "Vielleicht wurde er erneuert. Lade die Seite neu."]],
  model_not_found: [["The model is gone", "Reload the page and choose another one."],
    ["Das Modell ist weg", "Lade die Seite neu und wähle ein anderes."]],
  body_too_large: [["Too large", "The server does not take so much at once. Try a smaller file, or a shorter text."],
    ["Zu groß", "So viel auf einmal nimmt der Server nicht. Versuche es mit einer kleineren Datei oder weniger Text."]],
  image_too_large: [["Too many pixels", "Make the picture smaller and try again."],
    ["Zu viele Pixel", "Verkleinere das Bild und versuche es noch einmal."]],
  request_timeout: [["It took too long to arrive", "Try a smaller file, or a better network."],
    ["Es kam zu langsam an", "Versuche es mit einer kleineren Datei oder in einem besseren Netz."]],
  unsupported_media: [["The model does not take this kind of file", "Choose a JPEG, PNG, WebP, GIF, BMP or TIFF picture."],
    ["Diese Art von Datei nimmt das Modell nicht", "Wähle ein Bild als JPEG, PNG, WebP, GIF, BMP oder TIFF."]],
  invalid: [["The model cannot take this value", "Change what the server names, and ask again."],
    ["Diesen Wert kann das Modell nicht nehmen", "Ändere, was der Server nennt, und frage noch einmal."]],
  internal: [["The server made a mistake", "It is not your input's fault; the server's log tells more. Try again."],
    ["Der Server hat einen Fehler gemacht", "An deiner Eingabe liegt es nicht; mehr steht im Log des Servers. Versuche es noch einmal."]],
  unavailable: [["Not available for now", "Something that the server needs is away."],
    ["Zurzeit nicht verfügbar", "Etwas, das der Server braucht, ist weg."]],
  model_unavailable: [["The model is not ready", "It is being loaded, or could not be."],
    ["Das Modell ist nicht bereit", "Es wird geladen oder konnte es nicht werden."]],
  overloaded: [["Too many calls at once", "The server is busy."],
    ["Zu viele Aufrufe auf einmal", "Der Server ist beschäftigt."]],
  insufficient_memory: [["Not enough memory", "The server has too little left. Try something smaller."],
    ["Zu wenig Speicher", "Dem Server bleibt zu wenig. Versuche etwas Kleineres."]],
  shutting_down: [["The server is ending", "Another one takes over."],
    ["Der Server wird beendet", "Ein anderer übernimmt."]],
};
Object.assign(PROBLEMS, {
  bad_request: PROBLEMS.malformed,
  method_not_allowed: PROBLEMS.route_not_found,
  cancelled: PROBLEMS.overloaded,
});

export const $ = (id) => document.getElementById(id);

// ---- Language: what is on the page knows how its text is made, and is told anew.

const LANGUAGES = ["en", "de"];
let language = "en";
const said = new Map();

const filled = (text, values) => text.replace(/\{(\d)\}/g, (_, place) => values[place]);
const own = (pair) => pair[LANGUAGES.indexOf(language)];
export const t = (key, ...values) => filled(own(TEXTS[key]), values);
export const w = (key, ...values) => () => t(key, ...values);

/** Sets what `make` gives as a node's text, now and whenever the language changes. */
function say(node, make, put = (text) => { node.textContent = text; }) {
  const puts = said.get(node) ?? [];
  said.set(node, [...puts, () => put(make())]);
  put(make());
  return node;
}

/** As `say`, for an attribute. */
function label(node, name, make) {
  return say(node, make, (text) => node.setAttribute(name, text));
}

function speak(to) {
  language = to;
  document.documentElement.lang = to;
  for (const [node, puts] of said) {
    if (node.isConnected) puts.forEach((put) => put());
    else said.delete(node);
  }
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === to));
  }
}

const format = (value, options) =>
  value === null ? "?" : new Intl.NumberFormat(language, options).format(value);
export const number = (value, digits) => format(value, { maximumSignificantDigits: digits });
const percent = (value) => format(value, { style: "percent", maximumFractionDigits: 1 });
const fixed = (value) => format(value, { minimumFractionDigits: 3, maximumFractionDigits: 3 });
const ms = (value) => format(value, { maximumFractionDigits: value < 10 ? 2 : 0 });

// ---- Small builders.

/** Returns an element; a function among its contents makes a text in the language. */
export function make(tag, attributes = {}, ...contents) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else label(node, name, value);
    } else if (value === true) node.setAttribute(name, "");
    else if (value || value === 0) node.setAttribute(name, value);
  }
  if (contents.length === 1 && typeof contents[0] === "function") return say(node, contents[0]);
  for (const one of contents) {
    node.append(typeof one === "function" ? say(document.createElement("span"), one) : one);
  }
  return node;
}

/** Returns a bar; `from` and `to` are parts of its width, 0 to 1. */
function bar(to, from = 0) {
  const inner = make("i");
  inner.style.left = `${100 * from}%`;
  inner.style.width = `${100 * Math.max(0, Math.min(1, to) - from)}%`;
  return make("div", { class: "bar", "aria-hidden": "true" }, inner);
}

// ---- The server.

export let key = sessionStorage.getItem(KEY) ?? "";

/** What went wrong; its code is one of PROBLEMS. */
export class Problem {
  constructor(code, message = "", status = 0, after = "") {
    Object.assign(this, { code, message, status, after });
  }
}

/** Awaits what comes from the server. */
export async function from(promise) {
  try {
    return await promise;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("away");
  }
}

/** Returns the server's response, if it is no refusal. */
export async function fetched(path, options = {}) {
  const headers = { Accept: "application/json", ...options.headers };
  if (key) headers["X-API-Key"] = key;
  const url = new URL(path, BASE);
  const response = await from(fetch(url, { ...options, headers, cache: "no-store" }));
  if (!response.ok) throw refusal(response, await from(response.text()));
  return response;
}

async function call(path, options = {}) {
  const began = performance.now();
  const response = await fetched(path, options);
  const text = await from(response.text());
  const took = performance.now() - began;
  try {
    return { json: JSON.parse(text), timing: response.headers.get("Server-Timing") ?? "", took };
  } catch {
    throw new Problem("other", "", response.status);
  }
}

function refusal({ status, headers }, text) {
  const after = headers.get("Retry-After") ?? "";
  let error = {};
  try {
    error = JSON.parse(text).error ?? {};
  } catch { /* not of the function, but of what stands before it */ }
  const code = Object.hasOwn(PROBLEMS, error.code) ? error.code
    : { 401: "unauthorized", 403: "forbidden", 413: "body_too_large" }[status] ?? "other";
  return new Problem(code, String(error.message ?? ""), status, after);
}

// ---- What the server offers.

export const state = { turn: 0 };

const anyOf = (schema) => schema?.anyOf ?? (schema ? [schema] : []);

/** Returns what the OpenAPI document tells of a model. */
function described(name) {
  const operation = state.document?.paths?.["/predict/{model}"]?.post;
  const content = operation?.requestBody?.content ?? {};
  const json = content["application/json"] ?? {};
  const request = anyOf(json.schema).find((one) => one.title === name);
  const answer = anyOf(operation?.responses?.["200"]?.content?.["application/json"]?.schema)
    .find((one) => one.properties?.model?.const === name);
  return {
    example: json.examples?.[name]?.value?.instances?.[0],
    instances: anyOf(request?.properties?.instances?.items),
    parameters: request?.properties?.parameters?.properties ?? {},
    prediction: answer?.properties?.predictions?.items ?? {},
    files: Object.keys(content).filter((type) => type.startsWith("image/")),
  };
}

async function begin() {
  $("problem").replaceChildren();
  try {
    const found = await Promise.all(["models", "openapi.json"].map((path) => call(path)));
    [{ models: state.models }, state.document] = found.map((one) => one.json);
  } catch (error) {
    if (error.code === "unauthorized") return askKey();
    $("work").hidden = true;
    return showProblem(error, begin);
  }
  $("key").hidden = true;
  $("forget").hidden = !key;
  $("version").textContent = `Zeropoint ${state.document.info?.version ?? ""}`.trim();
  if (!state.models.length) return showProblem(new Problem("no_models"), begin);
  const names = state.models.map((one) => one.name);
  $("model").replaceChildren(...names.map((name) => make("option", { value: name }, name)));
  const wanted = names.find((name) => `#${encodeURIComponent(name)}` === location.hash);
  const ready = state.models.find((one) => one.state === "ready")?.name;
  $("model").value = wanted ?? ready ?? names[0];
  $("work").hidden = false;
  return pick();
}

export function askKey() {
  $("work").hidden = true;
  $("forget").hidden = true;
  $("key").hidden = false;
  $("key-problem").replaceChildren(key ? make("span", {}, w("key.wrong")) : "");
  key = "";
  sessionStorage.removeItem(KEY);
  $("key-value").value = "";
  $("key-value").focus();
}

/** Shows the form of the chosen model. */
async function pick() {
  const turn = ++state.turn;
  state.aborted?.abort();
  const name = $("model").value;
  history.replaceState(null, "", `#${encodeURIComponent(name)}`);
  $("problem").replaceChildren();
  showEmpty();
  let about, kind;
  try {
    about = (await call(`models/${encodeURIComponent(name)}`)).json;
    kind = KINDS[about.task] ?? KINDS.tensor;
    INPUTS[kind.input] ??= (await from(import(`./${kind.input}.js`))).default;
  } catch (error) {
    if (turn !== state.turn) return;
    if (error.code === "unauthorized") return askKey();
    $("ask").hidden = true;
    $("about").replaceChildren();
    return showProblem(error, pick);
  }
  if (turn !== state.turn) return;
  $("ask").hidden = false;
  const model = { ...described(name), ...about, name, kind };
  state.model = model;
  showAbout();
  showParameters(model);
  const input = INPUTS[kind.input](model);
  state.input = input;
  $("input").replaceChildren(input.node);
  $("buttons").replaceChildren(...input.buttons ?? []);
  $("send").ariaDisabled = null;
  if (input.options) {
    $("parameters").prepend(input.options);
    $("options").hidden = false;
  }
  for (const part of ["ask", "answer"]) {
    const title = $(`${part}-title`);
    title.dataset.t = input.titles?.[part] ?? part;
    title.textContent = t(title.dataset.t);
  }
  $("example").hidden = !input.example;
  $("send").hidden = kind.input === "photo";
}

export function showAbout() {
  const { task, version, license } = state.model;
  $("about").replaceChildren(
    make("span", {}, () => `task.${task}` in TEXTS ? t(`task.${task}`) : task),
    make("span", {}, w("model.about", version, license)),
    make("span", { id: "state" }, () => t(`state.${state.model.state}`)),
  );
}

/** Makes a field for each number that a caller may vary. */
function showParameters({ parameters, task }) {
  const fields = Object.entries(parameters).flatMap(([name, schema]) => {
    const kind = anyOf(schema).find((one) => ["integer", "number"].includes(one.type));
    if (!kind) return [];
    const input = make("input", {
      id: `option-${name}`, type: "number", name, min: kind.minimum, max: kind.maximum,
      step: kind.type === "integer" ? 1 : "any", placeholder: w("option.default"),
    });
    const known = [`${task}.${name}`, `option.${name}`].find((one) => one in TEXTS);
    const title = () => known ? t(known) : name;
    return [make("div", { class: "field" }, make("label", { for: input.id }, title), input)];
  });
  $("options").hidden = !fields.length;
  $("parameters").replaceChildren(...fields);
}

export function chosenParameters() {
  const inputs = [...$("parameters").querySelectorAll("input")].filter((one) => one.value !== "");
  return Object.fromEntries(inputs.map((one) => [one.name, Number(one.value)]));
}

// ---- Inputs, by kind: a node; `request()`, what is sent; `example`, which fills it in. One that
// is not here is in a file of its name, and may have more: `ask`, `buttons`, `options`, `titles`.

export const asJson = (instances, parameters) => {
  const body = { instances };
  if (Object.keys(parameters).length) body.parameters = parameters;
  return { json: body };
};

const INPUTS = {
  photo(model) {
    let chosen = null;
    let source = "";
    const views = make("div");
    const file = make("input", {
      id: "file", class: "file", type: "file", accept: model.files.join(","),
      onchange: () => take(file.files[0]),
    });
    const title = make("strong", {}, () => t(chosen ? "photo.other" : "photo.choose"));
    const drop = make("label", { class: "drop", for: "file" }, title,
      make("span", { class: "hint" }, w("photo.how")));
    const shoot = make("button", { class: "camera", type: "button", onclick() {
      file.setAttribute("capture", "environment");
      file.click();
    } }, w("photo.take"));
    drop.addEventListener("click", () => file.removeAttribute("capture"));
    function take(photo) {
      if (!photo) return;
      chosen = photo;
      if (source) URL.revokeObjectURL(source);
      source = URL.createObjectURL(photo);
      const image = make("img", { src: source, alt: w("photo.alt", photo.name) });
      const frame = make("div", { class: "frame" }, image);
      image.addEventListener("error", () =>
        image.replaceWith(make("p", { class: "unseen" }, w("photo.unseen"))));
      views.replaceChildren(make("div", { class: "photo" }, frame));
      drop.classList.add("slim");
      title.textContent = t("photo.other");
      $("send").hidden = false;
      file.value = "";
      ask();
    }
    return {
      node: make("div", {}, views, file, drop, shoot),
      take,
      drop,
      frame: () => views.querySelector(".frame"),
      request(parameters) {
        if (!chosen) throw new Problem("no_photo");
        return { file: chosen, parameters };
      },
    };
  },

  row(model) {
    const schema = model.instances.find((one) => one.type === "object") ?? { properties: {} };
    const fields = Object.entries(schema.properties).map(([name, one], place) =>
      featureField(name, one, `feature-${place}`));
    const fill = (row) => fields.forEach((field) => field.set(row?.[field.name]));
    fill(model.example);
    return {
      node: make("div", { class: "grid" }, ...fields.map((field) => field.node)),
      example: () => fill(model.example),
      request: (parameters) => asJson(
        [Object.fromEntries(fields.map((field) => [field.name, field.get()]))], parameters),
    };
  },

  text(model) {
    const single = model.kind.show !== showMeaning;
    const areas = make("div", { class: "texts" });
    const fewer = make("button", { type: "button", class: "small", onclick: () => remove() },
      w("text.fewer"));
    const more = make("button", { type: "button", class: "small", onclick: () => add("").focus() },
      w("text.more"));
    function add(value) {
      const place = areas.children.length + 1;
      const area = make("textarea", { id: `text-${place}`, rows: 2, required: true });
      area.value = value;
      areas.append(make("div", { class: "field" },
        make("label", { for: area.id }, single ? w("text") : w("text.n", place)), area));
      return limit(area);
    }
    function remove() {
      areas.lastChild.remove();
      limit(null);
      more.focus();
    }
    function limit(area) {
      fewer.hidden = areas.children.length < 2;
      more.hidden = single || areas.children.length >= MOST_TEXTS;
      return area;
    }
    function example() {
      areas.replaceChildren();
      const others = single ? [] : ["I forgot how to log in.", "The weather is lovely today."];
      [model.example ?? "", ...others].forEach(add);
    }
    example();
    return {
      node: make("div", { class: "field" }, areas, make("div", { class: "row" }, more, fewer),
        ...(single ? [] : [make("p", { class: "hint" }, w("text.about"))])),
      example,
      request(parameters) {
        const texts = [...areas.querySelectorAll("textarea")].map((one) => one.value);
        if (texts.length === 1) return asJson(texts, parameters);
        const places = [...texts.keys()];
        const pairs = places.flatMap((a) => places.slice(a + 1).map((b) => [a, b]));
        const instances = pairs.map((pair) => pair.map((place) => texts[place]));
        return { ...asJson(instances, { ...parameters, similarity: true }), pairs };
      },
    };
  },

  json(model) {
    const area = make("textarea", { id: "json", class: "mono", rows: 10, spellcheck: "false" });
    const example = () => { area.value = JSON.stringify(model.example ?? [], null, 1); };
    example();
    return {
      node: make("div", { class: "field" }, make("label", { for: "json" }, w("json")), area),
      example,
      request(parameters) {
        try {
          return asJson([JSON.parse(area.value)], parameters);
        } catch {
          throw new Problem("no_json");
        }
      },
    };
  },
};

/** Returns the field of one feature of a row, by its JSON Schema. */
function featureField(name, schema, id) {
  const kinds = anyOf(schema);
  const kind = kinds.find((one) => one.type !== "null") ?? {};
  const optional = kinds.some((one) => one.type === "null");
  const choices = kind.enum ?? (kind.type === "boolean" ? [true, false] : null);
  const told = () => [schema.description, bounds(kind),
    "default" in schema && t("row.taken", worded(schema.default))].filter(Boolean).join("; ");
  const hint = make("p", { class: "hint", id: `${id}-hint` }, told);
  const common = { id, required: !optional, "aria-describedby": told() ? hint.id : undefined };
  const none = w(optional ? "row.missing" : "row.choose");
  let input, get, set;
  if (choices) {
    input = make("select", common, make("option", { value: "" }, none),
      ...choices.map((one, place) => make("option", { value: place }, () => worded(one))));
    get = () => choices[input.value];
    set = (value) => { input.value = choices.includes(value) ? choices.indexOf(value) : ""; };
  } else {
    const step = kind.type === "integer" ? 1 : "any";
    input = make("input", { ...common, type: "number", step, min: kind.minimum, max: kind.maximum,
      placeholder: optional && none });
    get = () => Number(input.value);
    set = (value) => { input.value = value ?? ""; };
  }
  const broken = name.split(/(?<=_)/).flatMap((part) => [part, make("wbr")]);
  const node = make("div", { class: "field" }, make("label", { for: id }, ...broken), input);
  if (told()) input.before(hint);
  return { name, node, get: () => input.value === "" ? null : get(), set };
}

const worded = (value) => typeof value === "boolean" ? t(String(value))
  : typeof value === "number" ? number(value, 15) : String(value);

function bounds({ minimum: low, maximum: high }) {
  if (low === undefined) return high === undefined ? "" : `≤ ${worded(high)}`;
  return high === undefined ? `≥ ${worded(low)}` : `${worded(low)} … ${worded(high)}`;
}

// ---- Answers, by task: a new task is a row here, with one of the inputs above and a renderer,
// which returns what is shown, after one line for those who listen.

const KINDS = {
  "image-classification": { input: "photo", show: showLabels },
  "object-detection": { input: "photo", show: showBoxes },
  "tabular-classification": { input: "row", show: showClasses },
  "tabular-regression": { input: "row", show: showNumbers },
  "text-classification": { input: "text", show: showLabels },
  "text-embedding": { input: "text", show: showMeaning },
  "text-generation": { input: "chat" },
  "tensor": { input: "json", show: showTensors },
};

export const headline = (title, about) =>
  make("p", { class: "headline" }, title, ...(about ? [make("small", {}, about)] : []));

const bars = (rows) => make("ol", { class: "bars" }, ...rows.map(([name, value]) =>
  make("li", {}, make("span", { class: "of" }, name),
    make("span", { class: "value" }, () => percent(value)), bar(value ?? 0))));

function showLabels([one]) {
  const title = () => one.label ?? t("unknown");
  const nodes = [headline(title, () => percent(one.probability)),
    bars(one.top.map((each) => [each.label, each.probability]))];
  if (one.truncated) nodes.push(make("p", { class: "note" }, w("truncated")));
  return [() => `${title()}, ${percent(one.probability)}`, ...nodes];
}

function showBoxes([{ detections, width, height }]) {
  const frame = state.input.frame();
  if (!detections.length) {
    const none = w("found.none");
    return [none, make("p", { class: "empty" }, none)];
  }
  const unseen = frame.querySelector(".unseen");
  if (unseen) unseen.style.aspectRatio = `${width} / ${height}`;
  // The large ones first, so that they cover none of the small.
  const area = ({ box: [left, top, right, bottom] }) => (right - left) * (bottom - top);
  const nodes = new Map([...detections].sort((a, b) => area(b) - area(a)).map((one) => {
    const [left, top, right, bottom] = one.box;
    const node = make("div", { class: "box", "aria-hidden": "true" },
      make("span", {}, () => `${one.label} ${percent(one.score)}`));
    node.classList.toggle("above", top / height > 0.08);
    node.classList.toggle("left", left / width > 0.7);
    Object.assign(node.style, {
      left: `${100 * left / width}%`, top: `${100 * top / height}%`,
      width: `${100 * (right - left) / width}%`, height: `${100 * (bottom - top) / height}%`,
    });
    return [one, node];
  }));
  frame.append(...nodes.values());
  const light = (one) => {
    frame.classList.toggle("chosen", Boolean(one));
    for (const [each, node] of nodes) node.classList.toggle("here", each === one);
  };
  const list = bars(detections.map((one) => [one.label, one.score]));
  detections.forEach((one, place) => {
    list.children[place].addEventListener("mouseenter", () => light(one));
    list.children[place].addEventListener("mouseleave", () => light(null));
  });
  const counts = new Map();
  for (const { label: name } of detections) counts.set(name, (counts.get(name) ?? 0) + 1);
  const names = [...counts].map(([name, count]) => count > 1 ? `${count} × ${name}` : name);
  const title = () => t("found", names.join(", "));
  return [title, headline(title), list];
}

function showClasses([one], { prediction }, { json }) {
  const title = () => one.label ?? t("unknown");
  const nodes = [headline(title, () => percent(one.probability))];
  const rows = Object.entries(one.probabilities);
  const threshold = json.parameters?.threshold ?? prediction["x-threshold"];
  if (rows.length === 2 && threshold !== undefined && rows[1][1] !== null) {
    const [[first], [second, value]] = rows;
    const mark = make("b");
    mark.style.left = `${100 * threshold}%`;
    const meter = bar(value);
    meter.classList.add("limit");
    meter.append(mark);
    nodes.push(make("div", {}, meter, make("div", { class: "scale", "aria-hidden": "true" },
      make("span", {}, first), make("span", {}, () => t("threshold", percent(threshold))),
      make("span", {}, second))));
    const words = () => t("limit", second, percent(value), percent(threshold));
    nodes.push(make("p", { class: "note" }, words));
    return [() => `${title()}. ${words()}`, ...nodes];
  }
  nodes.push(bars(rows.toSorted(([, a], [, b]) => b - a)));
  return [() => `${title()}, ${percent(one.probability)}`, ...nodes];
}

function showNumbers([one]) {
  const unit = one.unit ? ` ${one.unit}` : "";
  const worth = (value) => value === null ? "?" : `${number(value, 6)}${unit}`;
  if (!("values" in one)) {
    const title = () => one.value === null ? t("unknown") : worth(one.value);
    return [title, headline(title, w("number"))];
  }
  const rows = Object.entries(one.values);
  const table = make("table", {}, make("tbody", {}, ...rows.map(([name, value]) => make("tr", {},
    make("th", { scope: "row" }, name), make("td", { class: "number" }, () => worth(value))))));
  return [() => rows.map(([name, value]) => `${name}: ${worth(value)}`).join(", "), table];
}

function showMeaning(predictions, model, { json, pairs }) {
  if (!pairs) return showVector(predictions[0]);
  const rows = predictions.map((one, place) => ({ ...one, place }))
    .toSorted((a, b) => b.similarity - a.similarity);
  const table = make("table", { class: "pair" },
    make("caption", {}, w("similarity.about")),
    make("thead", {}, make("tr", {}, make("th", { scope: "col", colspan: 2 }, w("text")),
      make("th", { scope: "col", colspan: 2 }, w("similarity")))),
    make("tbody", {}, ...rows.map(({ place, similarity }) => make("tr", {},
      ...json.instances[place].map((text) => make("td", {}, text)),
      make("td", { class: "number" }, () => fixed(similarity)),
      make("td", {}, bar(similarity ?? 0))))));
  const best = rows[0];
  const numbers = pairs[best.place].map((one) => one + 1);
  const title = () => rows.length > 1 ? t("similarity.best", ...numbers)
    : `${t("similarity")}: ${fixed(best.similarity)}`;
  const nodes = [headline(title), make("div", { class: "scroll" }, table)];
  if (rows.some((each) => each.truncated.some(Boolean))) {
    nodes.push(make("p", { class: "note" }, w("truncated")));
  }
  return [title, ...nodes];
}

function showVector({ embedding, tokens, truncated }) {
  const title = () => t("vector", embedding.length);
  const first = () => embedding.slice(0, 4).map((value) => number(value, 3)).join("; ");
  const nodes = [headline(title, () => t("tokens", tokens)),
    make("p", { class: "note" }, () => t("vector.about", first()))];
  if (truncated) nodes.push(make("p", { class: "note" }, w("truncated")));
  return [title, ...nodes];
}

function showTensors([one]) {
  const named = one !== null && typeof one === "object" && !Array.isArray(one) ? one : { "": one };
  const nodes = Object.entries(named).map(([name, value]) => make("div", {},
    make("h3", {}, w("tensor", name)), make("pre", { tabindex: 0 }, JSON.stringify(value))));
  return [() => t("tensor", Object.keys(named).join(", ")), ...nodes];
}

// ---- Asking.

async function ask() {
  $("problem").replaceChildren();
  const { model, input } = state;
  if (!$("ask").reportValidity()) return;
  if (input.ask) return input.ask();
  let request;
  try {
    request = input.request(chosenParameters());
  } catch (error) {
    return showProblem(error);
  }
  const turn = ++state.turn;
  state.aborted?.abort();
  state.aborted = new AbortController();
  unmark();
  const waits = showWait();
  const { path, options } = message(model.name, request);
  try {
    const found = await call(path, { ...options, signal: state.aborted.signal });
    if (turn !== state.turn) return;
    showAnswer(model, request, found);
  } catch (error) {
    if (turn !== state.turn || error.name === "AbortError") return;
    $("panel").ariaBusy = "false";
    $("status").replaceChildren();
    if (error.code === "unauthorized") return askKey();
    showProblem(error instanceof Problem ? error : new Problem("other"), ask);
  } finally {
    clearTimeout(waits);
  }
}

/** Returns where a request goes, and as what. */
export function message(name, { file, parameters, json }) {
  const query = json ? "" : String(new URLSearchParams(parameters));
  const type = json ? "application/json" : file.type || "application/octet-stream";
  const body = json ? JSON.stringify(json) : file;
  return {
    path: `predict/${encodeURIComponent(name)}${query && `?${query}`}`,
    options: { method: "POST", headers: { "Content-Type": type }, body },
  };
}

function unmark() {
  for (const box of document.querySelectorAll(".box")) box.remove();
  document.querySelector(".frame")?.classList.remove("chosen");
}

export function showEmpty(key = "answer.empty") {
  unmark();
  $("panel").ariaBusy = "false";
  $("status").replaceChildren();
  $("answer").replaceChildren(make("p", { class: "empty" }, w(key)));
}

/** Shows that an answer is awaited, and after a while what may take so long. */
export function showWait() {
  const tell = (key) => {
    $("answer").replaceChildren(make("div", { class: "wait" },
      make("span", { class: "spin", "aria-hidden": "true" }), make("p", {}, w(key))));
    $("status").replaceChildren(make("span", {}, w(key)));
  };
  $("panel").ariaBusy = "true";
  tell("wait");
  return setTimeout(() => tell("wait.cold"), SLOW_MS);
}

/** Says what went wrong and what to do; `again` tries it once more. */
export function showProblem(error, again) {
  const box = make("div", { class: "notice bad", role: "alert" });
  const words = () => own(PROBLEMS[error.code]);
  box.append(make("h2", {}, () => words()[0]),
    make("p", {}, () => filled(words()[1], [error.status])));
  if (error.message) box.append(make("p", { class: "said" }, w("said", error.message)));
  if (error.after) box.append(make("p", {}, w("after", error.after)));
  if (again) {
    const button = make("button", { type: "button", onclick: () => again() }, w("again"));
    box.append(make("div", { class: "row" }, button));
  }
  ($("work").hidden || $("ask").hidden ? $("problem") : $("answer")).replaceChildren(box);
  box.scrollIntoView({ block: "nearest" });
}

function showAnswer(model, request, { json, timing, took }) {
  const steps = timed(timing);
  let line, nodes;
  try {
    [line, ...nodes] = model.kind.show(json.predictions, model, request);
  } catch {
    [line, nodes] = [w("raw"), []]; // an answer of a shape that this page does not know
  }
  const raw = make("pre", { tabindex: 0 }, JSON.stringify(json, null, 2));
  $("panel").ariaBusy = "false";
  $("answer").replaceChildren(...nodes,
    make("details", nodes.length ? {} : { open: true }, make("summary", {}, w("raw")), raw),
    showHow(steps, took), showRepeat(repeated(model.name, request)));
  $("status").replaceChildren(make("span", {}, () => t("answer.come", line())));
  model.state = "ready";
  showAbout();
  if (model.kind.show !== showBoxes) $("answer").firstChild.scrollIntoView({ block: "nearest" });
}

// ---- How it came about, of Server-Timing.

/** Returns milliseconds by the name of the step. */
export function timed(header) {
  const found = {};
  for (const part of header.split(",")) {
    const [name, value] = part.trim().split(";dur=");
    if (value) found[name] = Number(value);
  }
  return found;
}

/** Shows what took how long; `after`: steps that followed what Server-Timing tells, and `took`. */
export function showHow(steps, took, after = []) {
  const cold = ["process", "read", "imports", "session", "check"]
    .filter((name) => `cold-${name}` in steps)
    .map((name) => [() => t(`cold.${name}`), steps[`cold-${name}`]]);
  const warm = ["queue", "prepare", "execute", "output"].filter((name) => name in steps)
    .map((name) => [() => t(`step.${name}`), steps[name]]);
  const known = warm.reduce((sum, [, value]) => sum + value, 0);
  warm.push([w("step.way"), Math.max(0, took - known)], ...after);
  const total = after.reduce((sum, [, value]) => sum + value, Math.max(took, known));
  const part = make("section", { class: "part", "aria-labelledby": "how" },
    make("h3", { id: "how" }, w("how")));
  if (cold.length) {
    const sum = cold.reduce((all, [, value]) => all + value, 0);
    part.append(make("p", { class: "note" }, w("how.cold.about")),
      timeline("how.cold", "how.sum", cold, sum, "times cold"));
  }
  part.append(timeline("how.this", "how.total", warm, total, "times"));
  return part;
}

function timeline(title, total, rows, sum, style) {
  let from = 0;
  const body = rows.map(([name, value]) => {
    const track = bar((from + value) / sum, from / sum);
    from += value;
    return make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, track),
      make("td", { class: "number" }, () => `${ms(value)} ms`));
  });
  return make("table", { class: style }, make("caption", {}, () => t(title)),
    make("tbody", {}, ...body, make("tr", { class: "sum" },
      make("th", { scope: "row" }, () => t(total)), make("td"),
      make("td", { class: "number" }, () => `${ms(sum)} ms`))));
}

// ---- The same call from elsewhere.

export const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** Returns a value of JSON as Python writes it. */
export function python(value) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (typeof value !== "object") return JSON.stringify(value);
  const pairs = Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${python(one)}`);
  return `{${pairs.join(", ")}}`;
}

function repeated(name, request) {
  const { path, options } = message(name, request);
  const url = new URL(path, BASE).href;
  const type = options.headers["Content-Type"];
  const from = key ? `, "X-API-Key": os.environ["ZEROPOINT_API_KEY"]` : "";
  const header = key ? ` \\\n  --header "X-API-Key: $ZEROPOINT_API_KEY"` : "";
  const { file, json } = request;
  const sent = file ? `--data-binary ${shell(`@${file.name}`)}` : `--data ${shell(options.body)}`;
  const data = file ? `open(${JSON.stringify(file.name)}, "rb").read()`
    : `json.dumps(${python(json)}).encode()`;
  const lines = [
    `import json${key ? "\nimport os" : ""}`,
    "import urllib.request",
    "",
    `data = ${data}`,
    `headers = {"Content-Type": "${type}"${from}}`,
    `request = urllib.request.Request(${JSON.stringify(url)}, data, headers)`,
    "print(json.load(urllib.request.urlopen(request)))",
  ];
  return {
    curl: `curl --silent --header 'Content-Type: ${type}' \\\n  ${sent}${header} \\\n  ${shell(url)}`,
    Python: lines.join("\n"),
  };
}

/** Shows calls, by the name of their language. */
export function showRepeat(calls) {
  const codes = Object.entries(calls).map(([name, code]) => {
    const button = make("button", {
      type: "button", class: "small", "aria-label": () => `${t("copy")}: ${name}`,
      onclick: async () => {
        await copy(code, text);
        button.textContent = t("copied");
        $("status").replaceChildren(make("span", {}, w("copied")));
        setTimeout(() => { button.textContent = t("copy"); }, 2000);
      },
    }, w("copy"));
    const text = make("pre", { tabindex: 0, "data-code": name }, code);
    return make("div", { class: "code" },
      make("div", { class: "name" }, make("span", {}, name), button), text);
  });
  const part = make("section", { class: "part", "aria-labelledby": "repeat" },
    make("h3", { id: "repeat" }, w("repeat")), ...codes);
  return part;
}

/** Copies; where there is no clipboard, as over plain HTTP, it selects what is to be copied. */
async function copy(code, node) {
  try {
    await navigator.clipboard.writeText(code);
  } catch {
    getSelection().selectAllChildren(node);
    document.execCommand("copy");
  }
}

// ---- Beginning.

function listen() {
  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", () => {
      sessionStorage.setItem(LANGUAGE, button.dataset.language);
      speak(button.dataset.language);
    });
  }
  $("model").addEventListener("change", pick);
  $("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    ask();
  });
  $("ask").addEventListener("keydown", (event) => {
    const sends = event.key === "Enter" && (event.ctrlKey || event.metaKey);
    if (sends && event.target.tagName === "TEXTAREA") ask();
  });
  $("options").addEventListener("invalid", () => { $("options").open = true; }, true);
  $("example").addEventListener("click", () => {
    state.input.example();
    ask();
  });
  $("key").addEventListener("submit", (event) => {
    event.preventDefault();
    key = $("key-value").value.trim();
    sessionStorage.setItem(KEY, key);
    begin();
  });
  $("forget").addEventListener("click", () => {
    key = "";
    begin();
  });
  document.addEventListener("paste", (event) => {
    const photo = [...event.clipboardData.files].find((one) => one.type.startsWith("image/"));
    if (photo && state.input?.take) {
      event.preventDefault();
      state.input.take(photo);
    }
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    state.input?.drop?.classList.add("over");
  });
  for (const name of ["dragleave", "drop"]) {
    document.addEventListener(name, (event) => {
      if (name === "dragleave" && event.relatedTarget) return;
      event.preventDefault();
      state.input?.drop?.classList.remove("over");
      if (name === "drop") state.input?.take?.(event.dataTransfer.files[0]);
    });
  }
}

function start() {
  for (const node of document.querySelectorAll("[data-t]")) say(node, () => t(node.dataset.t));
  for (const node of document.querySelectorAll("[data-label]")) {
    label(node, "aria-label", () => t(node.dataset.label));
  }
  const wanted = sessionStorage.getItem(LANGUAGE) ?? navigator.language.slice(0, 2);
  speak(LANGUAGES.includes(wanted) ? wanted : "en");
  listen();
  begin();
}

start();
