// The page: reads the form, asks the service, shows its answer. All text of users and models goes
// in as text; the service's policy forbids anything else. Addresses are relative: it may have a
// prefix.

const STATUS_TEXT = {
  no_valid_critique: "no valid critique",
  too_long: "too long for the context",
  empty: "empty step",
  deadline: "out of time",
  not_scored: "not scored: after the first error",
  error: "failed",
};
const TONES = { correct: "good", incorrect: "bad", invalid: "none" };
const MARKS = { correct: "✓ ", incorrect: "✗ ", invalid: "" };
const FIELDS = ["problem", "solution", "splitter", "votes"];
const SHOWN_AT = { steps: "solution", body: "solution" };
const BROKEN_OFF = "The answer broke off.";

const at = (id) => document.getElementById(id);
let token = null; // in memory only
let asking = null; // the open question for a token
let running = null; // the AbortController of the request in progress
let described = false;

/** What the service, or its absence, has to say: one line, and the field to change. */
class Refusal extends Error {
  constructor(message, field = null) {
    super(message);
    this.field = field;
  }
}

at("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  score();
});
at("ask").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    at("ask").requestSubmit();
  }
});
at("cancel").addEventListener("click", () => running?.abort());
offerExamples();
describe();

/** Score what the form holds; a request that still runs is given up for it. */
async function score() {
  running?.abort();
  const mine = (running = new AbortController());
  const { signal } = mine;
  const began = performance.now();
  let shown = [];
  showFault(null);
  at("cancel").hidden = false;
  try {
    const asked = readForm();
    const { steps } = await (await call("v1/steps", asked, signal)).json();
    if (!described) describe();
    shown = showSteps(steps);
    const options = { stream: true, return_critiques: true };
    const answer = await call("v1/score", { ...asked, ...options }, signal);
    const judgement = await follow(lines(answer, signal), shown);
    conclude(judgement, shown, (performance.now() - began) / 1000);
  } catch (error) {
    giveUp(shown);
    if (running !== mine) return; // the next request has the page
    if (shown.length) tell(signal.aborted ? "Cancelled." : "Broken off.");
    if (!signal.aborted) showFault(error);
  } finally {
    if (running === mine) {
      running = null;
      if (document.activeElement === at("cancel")) at("score").focus();
      at("cancel").hidden = true;
    }
  }
}

/** Show the steps of a stream as they are settled; the judgement that ends it, without them. */
async function follow(told, shown) {
  let settled = 0;
  for await (const line of told) {
    if ("error" in line) throw new Refusal(line.error, line.field);
    if (!("index" in line)) return line;
    settle(shown[line.index], line);
    settled += 1;
    tell(`${settled} of ${shown.length} steps settled`);
  }
  throw new Refusal(BROKEN_OFF);
}

/** The request that the form means. What is left empty is the service's to choose. */
function readForm() {
  const asked = {};
  for (const name of ["problem", "solution", "splitter"]) asked[name] = at(name).value;
  const votes = at("votes").value.trim();
  if (votes) asked.votes = Number.isFinite(Number(votes)) ? Number(votes) : votes;
  return asked;
}

/** Ask the service; where it wants a token, ask the user for one and try again. */
async function call(path, body = null, signal = null) {
  for (;;) {
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    const how = body ? { method: "POST", body: JSON.stringify(body) } : {};
    const sent = { ...how, headers, signal, cache: "no-store" };
    const answer = await fetch(path, sent).catch((error) => {
      throw signal?.aborted ? error : new Refusal("The service does not answer.");
    });
    if (answer.ok) return answer;
    if (answer.status !== 401) throw await refusal(answer);
    asking ??= askForToken().finally(() => (asking = null));
    await asking;
  }
}

async function refusal(answer) {
  const said = await answer.json().catch(() => ({})); // a proxy may answer in the service's place
  return new Refusal(said.error ?? `The service answers ${answer.status}.`, said.field);
}

function askForToken() {
  const dialog = at("token-dialog");
  at("token-fault").textContent = token ? "The service does not know this token." : "";
  at("token").value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve, reject) => {
    dialog.addEventListener(
      "close",
      () => {
        token = at("token").value.trim();
        at("token").value = "";
        if (dialog.returnValue === "use") return resolve();
        token = null;
        reject(new Refusal("The service needs a token."));
      },
      { once: true },
    );
  });
}

/** The objects of an answer in lines of JSON, each as soon as it is there. */
async function* lines(answer, signal) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read().catch((error) => {
      throw signal.aborted ? error : new Refusal(BROKEN_OFF);
    });
    if (done) return;
    const whole = (rest + value).split("\n");
    rest = whole.pop();
    for (const line of whole) yield JSON.parse(line);
  }
}

/** Say who serves, and how many votes a step gets if nobody asks for another number. */
async function describe() {
  try {
    const { critic, defaults, context_tokens, limits } = await (await call("v1/model")).json();
    described = true;
    const version = critic.version ? ` (${critic.version})` : "";
    const context = context_tokens.toLocaleString("en");
    at("critic").textContent =
      `Critic ${critic.model}${version} · prompt pack ${critic.pack} · context ${context} tokens`;
    if (defaults.early_stop) at("votes-name").textContent = "Votes per step, at most";
    if (!at("votes").value) at("votes").value = defaults.votes;
    at("votes").placeholder = `1 to ${limits.votes}`;
  } catch (error) {
    at("critic").textContent = error.message;
  }
}

async function offerExamples() {
  const examples = await (await fetch("examples.json")).json();
  const buttons = examples.map(({ name, problem, steps }) => {
    const button = make("button", "", name);
    button.type = "button";
    button.addEventListener("click", () => {
      at("problem").value = problem;
      at("solution").value = steps.join("\n");
      at("splitter").value = "lines";
      showFault(null);
    });
    return button;
  });
  at("examples").replaceChildren(...buttons);
}

/** All steps at once, before any is settled; their elements. */
function showSteps(steps) {
  const shown = steps.map((step, index) => {
    const text = make("p", "text", step);
    text.dir = "auto";
    const number = make("span", "number", `${index + 1}`);
    const row = make("div", "row", number, text, make("span", "score", "…"));
    const item = make("li", "step waiting", row, make("div", "meta", badge("waiting", "none")));
    item.id = `step-${index + 1}`;
    return item;
  });
  at("empty").hidden = true;
  at("steps").replaceChildren(...shown);
  tell(`0 of ${steps.length} steps settled`);
  const top = at("result").getBoundingClientRect().top;
  if (top > innerHeight * 0.8) at("result").scrollIntoView();
  return shown;
}

/** What is known of a step once it is settled. */
function settle(item, step) {
  item.classList.remove("waiting");
  const score = item.querySelector(".score");
  score.title = "score: mean P(correct)";
  score.textContent = step.score === null ? "–" : step.score.toFixed(2);
  if (step.score !== null) {
    item.classList.add("scored");
    item.style.setProperty("--score", `${(100 * step.score).toFixed(0)}%`);
  }
  const { status, verdict, calibrated } = step;
  const first =
    status === "ok"
      ? badge(MARKS[verdict] + verdict, TONES[verdict])
      : badge(STATUS_TEXT[status] ?? status, "none");
  const told = [first, ...votes(step.votes)];
  if (calibrated !== null) told.push(make("span", "", `calibrated ${calibrated.toFixed(2)}`));
  if (step.reason) told.push(make("span", "reason", step.reason));
  item.querySelector(".meta").replaceChildren(...told);
  if (step.critiques?.length) item.append(critiques(step.critiques));
}

/** The judgement as a whole: the summary, and the mark on the first error. */
function conclude(judgement, shown, seconds) {
  const { solution_score, aggregate, first_error, covered, usage } = judgement;
  const score = solution_score === null ? "none" : solution_score.toFixed(2);
  const whole = make("span", "", "Solution score ", make("strong", "", score), ` (${aggregate})`);
  const outcome = make("div", "outcome", whole);
  if (first_error >= 0) {
    const item = shown[first_error];
    item.classList.add("first-error");
    item.querySelector(".meta").prepend(badge("first error", "mark"));
    const link = make("a", "", `First error: step ${first_error + 1}`);
    link.href = `#${item.id}`;
    outcome.append(link);
  } else if (covered) outcome.append(make("span", "", "No error"));
  if (!covered) outcome.append(make("span", "", "Not judged in full"));
  const written = usage.completion_tokens.toLocaleString("en");
  const read = usage.prompt_tokens.toLocaleString("en");
  const time = `${seconds.toFixed(1)}\u00a0s`;
  const cost = make("div", "", `${written} tokens written, ${read} read, ${time}`);
  at("summary").replaceChildren(outcome, cost);
}

/** Steps that nobody waits for any more say so. */
function giveUp(shown) {
  for (const item of shown) {
    if (!item.classList.contains("waiting")) continue;
    item.querySelector(".score").textContent = "–";
    item.querySelector(".meta").replaceChildren(badge("not judged", "none"));
  }
}

/** A dot per vote (shapes differ, not only colours), and the counts in words. */
function votes(counts) {
  const cast = Object.keys(TONES).filter((verdict) => counts[verdict]);
  if (!cast.length) return [];
  const dots = cast.flatMap((verdict) => Array(counts[verdict]).fill(TONES[verdict]));
  const drawn = make("span", "votes", ...dots.map((tone) => make("i", tone)));
  drawn.ariaHidden = "true";
  const words = cast.map((verdict) => `${counts[verdict]} ${verdict}`).join(", ");
  return [drawn, make("span", "", `votes: ${words}`)];
}

/** The critiques of a step behind a summary, made when it is first opened: there may be many. */
function critiques(list) {
  const count = `${list.length} critique${list.length > 1 ? "s" : ""}`;
  const details = make("details", "", make("summary", "", count));
  details.addEventListener("toggle", () => details.append(...list.map(critique)), { once: true });
  return details;
}

function critique({ text, verdict, p_correct, tokens, forced }) {
  const told = [`${tokens} tokens`];
  if (p_correct !== null) told.unshift(`P(correct) ${p_correct.toFixed(2)}`);
  if (forced) told.push("verdict forced: out of budget");
  const written = make("p", "", text.trim() || "(no text)");
  written.dir = "auto";
  const tone = TONES[verdict];
  return make(
    "div",
    `critique ${tone}`,
    badge(MARKS[verdict] + verdict, tone),
    " ",
    make("span", "told", told.join(", ")),
    written,
  );
}

/** One line beside the field at fault, or below the buttons; no line without an error. */
function showFault(error) {
  const named = error?.field?.match(/^\w+/)?.[0];
  const field = FIELDS.find((name) => name === (SHOWN_AT[named] ?? named));
  at("fault").textContent = error && !field ? error.message : "";
  for (const name of FIELDS) {
    at(`${name}-fault`).textContent = name === field ? error.message : "";
    at(name).ariaInvalid = name === field ? "true" : null;
  }
  if (field) at(field).focus();
}

function tell(text) {
  at("summary").textContent = text;
}

function badge(text, tone) {
  return make("span", `badge ${tone}`, text);
}

/** An element with a class and children; strings become text, never markup. */
function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}
