// A conversation with a model that writes: the text as it comes, and a button that stops it.

import {
  $, BASE, PROBLEMS, Problem, TEXTS, asJson, askKey, chosenParameters, fetched, from, headline, key,
  make, message, number, python, shell, showAbout, showEmpty, showHow, showProblem, showRepeat,
  showWait, state, t, timed, w,
} from "./script.js";

const STREAM = "text/event-stream";
const OPENAI = "/v1/chat/completions";
const OPENAI_FIELDS = ["max_tokens", "temperature", "top_p", "seed"];
const NEAR_PX = 48;

Object.assign(TEXTS, {
  "chat.ask": ["Conversation", "Gespräch"],
  "chat.answer": ["The last answer", "Die letzte Antwort"],
  "chat.empty": ["Here will be how it came about.", "Hier steht dann, wie sie zustande kam."],
  "chat.message": ["Your message", "Deine Nachricht"],
  "chat.keys": ["Enter sends it, Shift and Enter begin a new line, Escape stops the answer.",
    "Enter sendet sie, Umschalt und Enter beginnen eine neue Zeile, Escape hält die Antwort an."],
  "chat.continues": ["This model continues a text; it does not know what was before.",
    "Dieses Modell setzt einen Text fort; was davor war, weiß es nicht."],
  "chat.system": ["System message: what the model is to be", "Systemnachricht: was das Modell sein soll"],
  "chat.you": ["You", "Du"],
  "chat.stop": ["Stop", "Anhalten"],
  "chat.new": ["New conversation", "Neues Gespräch"],
  "chat.writes": ["The model writes …", "Das Modell schreibt …"],
  "chat.speed": ["{0} tokens per second", "{0} Tokens pro Sekunde"],
  "chat.short": ["A single token", "Ein einziges Token"],
  "chat.stopped": ["Stopped", "Angehalten"],
  "chat.first": ["the first after {0} s", "das erste nach {0} s"],
  "chat.tokens": ["It read {0} tokens and wrote {1}.", "Es las {0} Tokens und schrieb {1}."],
  "end.stop": ["The model ended its answer.", "Das Modell hat seine Antwort beendet."],
  "end.length": ["Cut off: no more tokens were allowed. Under Options there may be more.",
    "Abgeschnitten: Mehr Tokens waren nicht erlaubt. Unter Optionen gibt es vielleicht mehr."],
  "end.deadline": ["Cut off: it took too long.", "Abgeschnitten: Es dauerte zu lange."],
  "end.user": ["You stopped it.", "Du hast es angehalten."],
  "end.broken": ["It broke off.", "Es brach ab."],
  "step.write": ["all other tokens", "alle weiteren Tokens"],
  "text-generation.max_tokens": ["Most tokens of an answer", "Höchstzahl der Tokens"],
  "text-generation.temperature": ["Temperature, 0: always the likeliest token",
    "Temperatur, 0: stets das wahrscheinlichste Token"],
  "text-generation.top_p": ["Top p: the likeliest, up to this sum",
    "Top p: die wahrscheinlichsten, bis zu dieser Summe"],
  "text-generation.top_k": ["Top k: so many of the likeliest, 0: all",
    "Top k: so viele der wahrscheinlichsten, 0: alle"],
  "text-generation.repetition_penalty": ["Repetition penalty, 1: none",
    "Strafe für Wiederholung, 1: keine"],
  "text-generation.seed": ["Seed, for the same text again", "Seed, für denselben Text noch einmal"],
});

Object.assign(PROBLEMS, {
  too_many_texts: [["Too many texts at once", "The server writes as many as it has memory for."],
    ["Zu viele Texte auf einmal", "Der Server schreibt so viele, wie er Speicher hat."]],
  too_long: [["Too long for the model", "Shorten the message, ask for fewer tokens, or begin a new conversation."],
    ["Zu lang für das Modell", "Kürze die Nachricht, verlange weniger Tokens, oder beginne ein neues Gespräch."]],
});

export default function chat(model) {
  const turns = []; // of the conversation, each with a role, its content, and what shows them
  const talks = model.instances.some((one) => one.properties?.messages);
  let stopper = null; // while it writes

  const log = make("div", {
    class: "talk", role: "log", "aria-live": "off", "aria-label": w("chat.ask"), tabindex: 0,
  });
  const area = make("textarea", {
    id: "message", rows: 2, required: true, dir: "auto", "aria-describedby": "message-keys",
    onkeydown(event) {
      if (event.key === "Escape") stopper?.abort();
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      event.stopPropagation();
      $("ask").requestSubmit();
    },
  });
  const system = make("textarea", { id: "system", rows: 2, dir: "auto" });
  const stop = make("button", { type: "button", hidden: true, onclick: () => stopper.abort() },
    w("chat.stop"));
  const fresh = make("button", { type: "button", hidden: true, onclick: begin }, w("chat.new"));

  function begin() {
    state.turn += 1;
    state.aborted?.abort();
    turns.length = 0;
    log.replaceChildren();
    showEmpty("chat.empty");
    writing(null);
    area.focus();
  }

  /** Shows whether the model writes: then there is a way to stop it, and none to ask. */
  function writing(by) {
    stopper = by;
    $("send").ariaDisabled = by && "true";
    log.ariaBusy = String(Boolean(by));
    if (!by && document.activeElement === stop) area.focus();
    stop.hidden = !by;
    fresh.hidden = Boolean(by) || !turns.length;
  }

  /** Changes the conversation; its end and the button below stay to be seen, if they were. */
  function follow(change) {
    const follows = log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_PX;
    const { top, bottom } = stop.getBoundingClientRect();
    change();
    if (follows) log.scrollTop = log.scrollHeight;
    if (top >= 0 && bottom <= innerHeight) stop.scrollIntoView({ block: "nearest" });
  }

  function add(role, content) {
    const text = document.createTextNode(content);
    const node = make("div", { class: `turn ${role}` },
      make("p", { class: "who" }, role === "user" ? w("chat.you") : model.name),
      make("p", { class: "words", dir: "auto" }, text));
    turns.push({ role, node, text });
    log.append(node);
    log.scrollTop = log.scrollHeight;
    return node;
  }

  function drop() {
    const { node, text } = turns.pop();
    node.remove();
    return text.data;
  }

  /** Ends the answer that is being written; one that broke off without a word leaves nothing. */
  function leave(node, reason, isWhole) {
    node.classList.remove("writing");
    const { length } = turns.at(-1).text;
    if (length || isWhole) {
      const isPlain = length && reason === "end.stop";
      if (!isPlain) follow(() => node.append(make("p", { class: "note" }, w(reason))));
      return true;
    }
    drop();
    area.value = [drop(), area.value].filter(Boolean).join("\n");
    return false;
  }

  function asked() {
    const told = turns.map(({ role, text }) => ({ role, content: text.data }));
    if (!talks) return { prompt: told.at(-1).content };
    const first = system.value.trim();
    return { messages: first ? [{ role: "system", content: first }, ...told] : told };
  }

  function ask() {
    if (stopper || !area.value.trim()) return;
    add("user", area.value);
    area.value = "";
    write();
  }

  async function write() {
    const turn = ++state.turn;
    const request = asJson([asked()], chosenParameters());
    const by = state.aborted = new AbortController();
    const node = add("assistant", "");
    node.classList.add("writing");
    const { text } = turns.at(-1);
    writing(by);
    stop.scrollIntoView({ block: "nearest" });
    const waits = showWait();
    const began = performance.now();
    let first = 0;
    let end = null;
    let timing = "";
    let problem = null;
    try {
      const { path, options } = message(model.name, request);
      const headers = { ...options.headers, Accept: STREAM };
      const response = await fetched(path, { ...options, headers, signal: by.signal });
      timing = response.headers.get("Server-Timing") ?? "";
      for await (const event of events(response)) {
        if (event.error) throw ofEvent(event.error);
        if (turn !== state.turn) return;
        if (!first) {
          first = performance.now();
          clearTimeout(waits);
          showFirst(first - began);
        }
        follow(() => text.appendData(event.text));
        if (event.finish_reason) end = event;
      }
      if (!end) throw new Problem("away");
    } catch (error) {
      if (!end) problem = error;
    } finally {
      clearTimeout(waits);
    }
    if (turn !== state.turn) return;
    const isStopped = problem?.name === "AbortError";
    const reason = isStopped ? "end.user" : problem ? "end.broken" : `end.${end.finish_reason}`;
    const hasText = leave(node, reason, end);
    writing(null);
    const took = { first: first - began, all: performance.now() - began };
    if (problem && !isStopped) fail(problem, hasText);
    else if (first) showEnd(model, request, text.data, { end, reason, timing, took });
    else showEmpty("chat.empty");
  }

  function fail(error, hasText) {
    $("panel").ariaBusy = "false";
    $("status").replaceChildren();
    if (error.code === "unauthorized") return askKey();
    showProblem(worded(error), () => {
      if (!hasText) return $("ask").requestSubmit();
      drop();
      write();
    });
  }

  showEmpty("chat.empty");
  return {
    node: make("div", { class: "field" }, log,
      make("label", { for: "message" }, w(talks ? "chat.message" : "text")), area,
      make("p", { class: "hint", id: "message-keys" }, w("chat.keys")),
      ...(talks ? [] : [make("p", { class: "hint" }, w("chat.continues"))])),
    titles: { ask: "chat.ask", answer: "chat.answer" },
    buttons: [stop, fresh],
    options: talks && make("div", { class: "field wide" },
      make("label", { for: "system" }, w("chat.system")), system),
    example() {
      const { example } = model;
      area.value = example?.messages?.at(-1).content ?? example?.prompt ?? example ?? "";
    },
    ask,
  };
}

/** Gives the data of server-sent events as they come. */
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await from(reader.read());
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const data = part.split("\n").find((line) => line.startsWith("data: "));
      if (data) yield JSON.parse(data.slice(6));
    }
  }
}

const ofEvent = ({ code, message: said }) =>
  new Problem(Object.hasOwn(PROBLEMS, code) ? code : "internal", said);

/** Returns a problem in words that fit a conversation. */
function worded(error) {
  if (!(error instanceof Problem)) return new Problem("other");
  if (error.code === "overloaded") error.code = "too_many_texts";
  if (error.code === "invalid" && /\btokens\b/.test(error.message)) error.code = "too_long";
  return error;
}

const seconds = (value) => number(value / 1000, 2);

function showFirst(took) {
  $("answer").replaceChildren(
    headline(w("chat.writes"), () => t("chat.first", seconds(took))));
  $("status").replaceChildren(make("span", {}, w("chat.writes")));
}

function showEnd(model, request, text, { end, reason, timing, took }) {
  const rest = took.all - took.first;
  const rate = end?.completion_tokens > 1 && rest > 0 ? 1000 * (end.completion_tokens - 1) / rest : 0;
  const title = () => rate ? t("chat.speed", number(rate, 3)) : t(end ? "chat.short" : "chat.stopped");
  const tokens = end && (() => t("chat.tokens", end.prompt_tokens, end.completion_tokens));
  const raw = end && make("details", {}, make("summary", {}, w("raw")),
    make("pre", { tabindex: 0 }, JSON.stringify(end, null, 2)));
  $("panel").ariaBusy = "false";
  $("answer").replaceChildren(...[
    headline(title, () => t("chat.first", seconds(took.first))),
    make("p", { class: "note" }, () => `${t(reason)} ${tokens ? tokens() : ""}`.trim()), raw,
    showHow(timed(timing), took.first, [[w("step.write"), rest]]),
    showRepeat(repeated(model, request)),
  ].filter(Boolean));
  $("status").replaceChildren(
    make("span", {}, () => `${t("answer.come", text)} ${reason === "end.stop" ? "" : t(reason)}`));
  model.state = "ready";
  showAbout();
}

/** Returns the same call, as it streams from elsewhere. */
function repeated(model, request) {
  const { path, options } = message(model.name, request);
  const url = new URL(path, BASE).href;
  const header = key ? ` \\\n  --header "X-API-Key: $ZEROPOINT_API_KEY"` : "";
  const from = key ? `, "X-API-Key": os.environ["ZEROPOINT_API_KEY"]` : "";
  const calls = {
    curl: `curl --silent --no-buffer --header 'Accept: ${STREAM}' \\\n  --header 'Content-Type: application/json' \\\n  --data ${shell(options.body)}${header} \\\n  ${shell(url)}`,
    Python: [
      `import json${key ? "\nimport os" : ""}`,
      "import urllib.request",
      "",
      `data = json.dumps(${python(request.json)}).encode()`,
      `headers = {"Content-Type": "application/json", "Accept": "${STREAM}"${from}}`,
      `request = urllib.request.Request(${JSON.stringify(url)}, data, headers)`,
      "for line in urllib.request.urlopen(request):",
      `    if line.startswith(b"data: "):`,
      `        print(json.loads(line[6:])["text"], end="", flush=True)`,
    ].join("\n"),
  };
  const { instances: [{ messages }], parameters = {} } = request.json;
  if (messages && state.document.paths[OPENAI]) {
    calls["OpenAI's client"] = throughOpenAi(model.name, messages, Object.entries(parameters));
  }
  return calls;
}

function throughOpenAi(name, messages, parameters) {
  const own = parameters.filter(([one]) => OPENAI_FIELDS.includes(one));
  const more = parameters.filter(([one]) => !OPENAI_FIELDS.includes(one));
  const fields = own.map(([one, value]) => `    ${one}=${python(value)},`);
  if (more.length) fields.push(`    extra_body=${python(Object.fromEntries(more))},`);
  return [
    `${key ? "import os\n\n" : ""}from openai import OpenAI`,
    "",
    `client = OpenAI(base_url=${JSON.stringify(new URL("v1", BASE).href)}, api_key=${key ? `os.environ["ZEROPOINT_API_KEY"]` : `"none"`})`,
    "for chunk in client.chat.completions.create(",
    `    model=${JSON.stringify(name)},`,
    `    messages=${python(messages)},`,
    ...fields,
    "    stream=True,",
    "):",
    `    print(chunk.choices[0].delta.content or "", end="", flush=True)`,
  ].join("\n");
}
