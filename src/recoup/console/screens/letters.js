// Dead letters: events that cannot be used. Look at one, mend it, see before and after, send one or many again.

import { act } from "../acts.js";
import { read, remove, send } from "../api.js";
import { announce } from "../announce.js";
import { h } from "../dom.js";
import { ago, count, dateTime, percent, plural, words } from "../format.js";
import { compared, isMended, pretty, tone, totals } from "../letter_readings.js";
import { badge, choice, empty, eventTabs, from, heading, panel, table, terms, trouble } from "../parts.js";
import { may } from "../session.js";

const KINDS = [
  "schema_violation",
  "unknown_type",
  "timestamp",
  "size",
  "unreadable",
  "conflict",
  "foreign_store",
  "enrichment",
  "unavailable",
  "too_many_retries",
];
const STATUSES = ["open", "waiting", "unsure", "repaired", "replayed", "dismissed"];
const PAGE = 100;
const NAMES = { came: "As it came", sent: "As it was sent" };

export const letters = {
  title: "Dead letters",
  state: { status: "open", kind: "", field: "", draft: null, trial: null, problem: null, busy: false, many: null },

  sources: ({ params, state }) => ({
    list: { read: (signal) => read("/dlq", { ...filter(state), limit: PAGE }, signal), every: 5000 },
    summary: { read: (signal) => read("/dlq/summary", {}, signal), every: 5000 },
    ...(params.letterId
      ? { letter: { read: (signal) => read(`/dlq/${encodeURIComponent(params.letterId)}`, {}, signal), every: 5000 } }
      : {}),
  }),

  view(screen) {
    const { feeds, params, state, set, refresh } = screen;
    const stopped = feeds.summary.data?.stopped;
    return [
      eventTabs("letters"),
      heading("Dead letters", filters(state, set)),
      stopped && floodNotice(stopped, screen),
      state.many && manyResult(state.many),
      h(
        "div",
        { class: `outbox letters ${params.letterId ? "reading" : ""}`, key: "letters" },
        h(
          "div",
          { class: "letters-list", key: "list" },
          from(feeds.list, ({ items, next_cursor: more }) => list(items, more, screen), { lines: 6, retry: refresh }),
        ),
        params.letterId
          ? from(feeds.letter ?? { data: null }, (letter) => reader(letter, screen), { lines: 8, retry: refresh })
          : overview(feeds.summary),
      ),
    ].filter(Boolean);
  },
};

const filter = ({ status, kind, field }) => ({ status: status || null, kind: kind || null, field: field || null });

const selector = (label, value, options, choose) =>
  h(
    "label",
    { class: "select", key: label },
    h("span", { class: "unseen" }, label),
    h(
      "select",
      { on: { change: (event) => choose(event.target.value) } },
      h("option", { key: "", value: "", selected: value === "" }, `Any ${label.toLowerCase()}`),
      options.map((option) => h("option", { key: option, value: option, selected: option === value }, words(option))),
    ),
  );

const filters = (state, set) => [
  selector("Status", state.status, STATUSES, (status) => set({ status, many: null }, { reload: true })),
  selector("Kind", state.kind, KINDS, (kind) => set({ kind, many: null }, { reload: true })),
  h(
    "label",
    { class: "field-filter", key: "field" },
    h("span", { class: "unseen" }, "Field"),
    h("input", {
      type: "search",
      placeholder: "Field, e.g. amount",
      value: state.field,
      on: { change: (event) => set({ field: event.target.value.trim(), many: null }, { reload: true }) },
    }),
  ),
];

function floodNotice(stopped, { set, refresh }) {
  const resume = () =>
    act({ set, refresh }, async () => {
      await send("/dlq/resume");
      announce("Letters are repaired and sent by themselves again.");
    });
  return h(
    "div",
    { class: "trouble flood", role: "status", key: "flood" },
    h(
      "p",
      {},
      `Repairs and retries stopped at ${dateTime(stopped.since)}, after ${plural(stopped.letters, "dead letter")} within minutes. Find the cause, then let them go on.`,
    ),
    may("dlq:write") && h("button", { type: "button", class: "button small", on: { click: resume } }, "Go on"),
  );
}

function list(items, more, screen) {
  const { params, state, set, refresh } = screen;
  const now = Date.now();
  if (items.length === 0)
    return h(
      "div",
      { class: "panel", key: "none" },
      empty("No dead letters here", "Events that break a rule are kept here with what came and why, so that none is lost."),
    );
  const many = (dry) => () =>
    act({ set, refresh }, async () => {
      const body = { filter: Object.fromEntries(Object.entries(filter(state)).filter(([, value]) => value)), limit: PAGE, dry_run: dry };
      const result = await send("/dlq/replay", body);
      set({ many: { ...result, dry } });
    });
  return [
    h(
      "div",
      { class: "letters-many", key: "many" },
      h("span", { class: "fine" }, `${count(items.length)}${more ? "+" : ""} shown`),
      may("dlq:write") && h("button", { type: "button", class: "button small", disabled: state.busy, on: { click: many(true) } }, "Try all"),
      may("dlq:write") && h(
        "button",
        {
          type: "button",
          class: "button small",
          disabled: state.busy || !state.many?.dry || state.many.would_be_sent === 0,
          title: "Try all first",
          on: { click: many(false) },
        },
        "Send all",
      ),
    ),
    h(
      "nav",
      { class: "panel mails", key: "lines", "aria-label": "Letters" },
      h(
        "ul",
        {},
        items.map((letter) => h("li", { key: letter.id }, line(letter, letter.id === params.letterId, now))),
      ),
    ),
  ];
}

const line = (letter, chosen, now) =>
  h(
    "a",
    { href: `#/letters/${letter.id}`, "aria-current": chosen ? "true" : null },
    h(
      "span",
      { class: "mail-top" },
      h("b", {}, letter.type || "unreadable"),
      h("span", { class: "fine", title: dateTime(letter.dead_at) }, ago(letter.dead_at, now)),
    ),
    h("span", { class: "mail-subject" }, letter.field ? `${letter.field}: ` : "", letter.reason),
    h(
      "span",
      { class: "letter-signs" },
      badge(tone(letter.status), words(letter.status)),
      isMended(letter) && h("span", { class: "fine" }, `repair ${percent(letter.confidence, 1)}`),
    ),
  );

const manyResult = (many) =>
  h(
    "p",
    { class: "notice", role: "status", key: "result" },
    many.dry
      ? `Of ${plural(many.matched, "letter")}, ${count(many.would_be_sent)} would be taken. Nothing was sent.`
      : `Of ${plural(many.matched, "letter")}, ${count(many.sent)} were sent and ${count(many.skipped)} needed nothing.`,
    Object.entries(many.refused ?? {}).map(([code, number]) => ` ${words(code)}: ${count(number)} not.`),
    many.more && " More match than were looked at.",
  );

const overview = (feed) =>
  panel(
    { id: "letters-overview", title: "What lies here" },
    from(feed, ({ counts }) => {
      const rows = totals(counts);
      return rows.length === 0
        ? empty("Nothing was refused", "Every event that came could be used.")
        : table(
            "Dead letters by kind",
            [{ name: "Kind" }, { name: "To do", number: true }, { name: "Sent again", number: true }, { name: "All", number: true }],
            rows.map(({ kind, open, sent, all }) => ({ key: kind, cells: [words(kind), count(open), count(sent), count(all)] })),
          );
    }),
  );

function reader(letter, screen) {
  const { state, set } = screen;
  const texts = { came: letter.body, ...(letter.sent_body && { sent: letter.sent_body }) };
  letter.proposals.forEach((proposal, index) => {
    texts[`repair ${index + 1}`] = proposal.body;
  });
  const mine = state.draft?.id === letter.id ? state.draft : { id: letter.id, source: first(letter), text: null };
  const start = pretty(texts[mine.source] ?? letter.body);
  const text = () => mine.text ?? start;
  const choose = (source) => set({ draft: { id: letter.id, source, text: null }, trial: null, problem: null });
  const proposal = letter.proposals[Number(mine.source.split(" ")[1]) - 1];
  return panel(
    {
      id: "letter",
      class: "reader",
      title: letter.type || "An event that cannot be read",
      note: badge(tone(letter.status), words(letter.status)),
    },
    h("p", { class: "reader-head" }, h("a", { class: "only-phone", href: "#/letters" }, "Back to the list"), h("span", {}, letter.reason)),
    facts(letter),
    h("h3", { key: "text-head" }, "The event"),
    Object.keys(texts).length > 1 &&
      choice("Text", Object.keys(texts).map((name) => [name, NAMES[name] ?? words(name)]), mine.source, choose),
    proposal && reasons(proposal),
    h(
      "label",
      { class: "letter-edit", key: `label-${letter.id}-${mine.source}` },
      h("span", { class: "unseen" }, "Text to be sent"),
      h(
        "textarea",
        {
          key: `edit-${letter.id}-${mine.source}`,
          rows: Math.min(24, start.split("\n").length + 1),
          spellcheck: "false",
          on: { input: (event) => set({ draft: { ...mine, text: event.target.value }, trial: null }) },
        },
        start,
      ),
    ),
    may("dlq:write") && buttons(letter, text, screen),
    state.problem && trouble(state.problem),
    state.trial?.id === letter.id && trialView(state.trial),
    history(letter),
  );
}

const first = (letter) => (isMended(letter) && letter.proposals[0].valid ? "repair 1" : "came");

const facts = (letter) =>
  terms(
    [
      ["Kind", words(letter.kind), letter.code === letter.kind ? null : words(letter.code)],
      ["Field", letter.field || "–"],
      ["Stage", words(letter.stage)],
      ["Arrived", dateTime(letter.received_at)],
      ["Died", plural(letter.attempts, "time")],
      ...(letter.next_retry_at ? [["Next try", dateTime(letter.next_retry_at)]] : []),
    ],
    "grid letter-facts",
  );

const reasons = (proposal) =>
  h(
    "div",
    { class: "letter-repair", key: "reasons" },
    h("p", {}, h("b", {}, `Sure to ${percent(proposal.confidence, 2)}`), proposal.valid ? "" : ` – but it would be refused: ${proposal.problem}`),
    h(
      "ul",
      { class: "steps" },
      proposal.changes.map((change, index) => h("li", { key: index }, change.field && h("code", {}, change.field), change.field ? " " : "", change.reason)),
    ),
  );

function buttons(letter, text, { state, set, refresh }) {
  const path = `/dlq/${encodeURIComponent(letter.id)}`;
  const isOver = ["repaired", "replayed", "dismissed"].includes(letter.status);
  const retry = (dry) => () =>
    act({ set, refresh }, async () => {
      const trial = await send(`${path}/retry`, { body: text(), dry_run: dry });
      set({ trial });
      announce(trial.sent ? "Sent." : trial.valid ? "It would be taken." : "It would be refused.");
    });
  const then = (step) => () => act({ set, refresh }, step);
  return h(
    "div",
    { class: "letter-buttons", key: "buttons" },
    h("button", { type: "button", class: "button", disabled: state.busy, on: { click: retry(true) } }, "Try"),
    !isOver && h("button", { type: "button", class: "button primary", disabled: state.busy, on: { click: retry(false) } }, "Send"),
    !isOver && h("button", { type: "button", class: "button", on: { click: then(() => send(`${path}/examine`)) } }, "Look for repairs"),
    !isOver && h("button", { type: "button", class: "button", on: { click: then(() => remove(path)) } }, "Set aside"),
    isOver && h("button", { type: "button", class: "button", on: { click: then(() => send(`${path}/reopen`, { note: "" })) } }, "Take up again"),
  );
}

const trialView = (trial) =>
  h(
    "section",
    { class: "letter-trial", key: "trial", "aria-label": "Before and after" },
    h(
      "p",
      { role: "status" },
      trial.valid
        ? badge("good", trial.sent ? "Sent" : "It would be taken")
        : badge("bad", "It would be refused"),
      " ",
      trial.problem ? `${trial.problem.field ? `${trial.problem.field}: ` : ""}${trial.problem.detail}` : `under the id ${trial.event_id}`,
    ),
    h(
      "pre",
      { class: "mail-text", tabindex: 0 },
      compared(trial.before, trial.after).map(({ sign, text }, index) =>
        h("span", { key: index, class: sign === "+" ? "added" : sign === "-" ? "gone" : null }, `${sign} ${text}\n`),
      ),
    ),
  );

const history = (letter) =>
  letter.history.length > 0 &&
  h(
    "div",
    { class: "letter-history", key: "history" },
    h("h3", {}, "What happened to it"),
    h(
      "ul",
      {},
      [...letter.history].reverse().map((entry, index) =>
        h(
          "li",
          { key: `${entry.at}-${index}` },
          h("b", {}, words(entry.what)),
          ` ${dateTime(entry.at)}${entry.by && entry.by !== "recoup" ? `, by ${entry.by}` : ""}`,
          entry.detail && h("span", { class: "fine" }, ` ${entry.detail}`),
        ),
      ),
    ),
  );
