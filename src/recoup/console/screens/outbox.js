// The outbox: every e-mail as it was sent or, without a mail server, kept here; shown as the shopper would see it.

import { read } from "../api.js";
import { h } from "../dom.js";
import { ago, dateTime, moment } from "../format.js";
import { mailFrame } from "../mail.js";
import { choice, empty, from, heading, panel } from "../parts.js";

export const outbox = {
  title: "Outbox",
  state: { form: "html" },

  sources: () => ({ mails: { read: (signal) => read("/outbox", { limit: 100 }, signal), every: 4000 } }),

  view({ feeds, params, state, set, refresh }) {
    const mails = feeds.mails.data?.items ?? [];
    const chosen = mails.find(({ id }) => id === params.mailId) ?? (params.mailId ? null : mails[0]);
    return [
      heading("Outbox"),
      from(
        feeds.mails,
        () =>
          mails.length === 0
            ? h(
                "div",
                { class: "panel", key: "none" },
                empty(
                  "No e-mail has been sent",
                  "Until a mail server is set up, messages stay here and nothing leaves this machine. The first one appears when an abandoned cart passes every rule.",
                ),
              )
            : h(
                "div",
                { class: `outbox ${params.mailId ? "reading" : ""}`, key: "outbox" },
                list(mails, chosen),
                reader(chosen, state, set),
              ),
        { lines: 6, retry: refresh },
      ),
    ].flat();
  },
};

const list = (mails, chosen) => {
  const now = Math.max(...mails.map(({ store_time: at }) => moment(at) ?? 0));
  return h(
    "nav",
    { class: "panel mails", key: "list", "aria-label": "E-mails" },
    h(
      "ul",
      {},
      mails.map(({ id, to, subject, store_time: at }) =>
        h(
          "li",
          { key: id },
          h(
            "a",
            { href: `#/outbox/${encodeURIComponent(id)}`, "aria-current": id === chosen?.id ? "true" : null },
            h(
              "span",
              { class: "mail-top" },
              h("b", {}, to),
              h(
                "span",
                { class: "fine", title: dateTime(at) },
                now - moment(at) < 60_000 ? dateTime(at) : ago(at, now),
              ),
            ),
            h("span", { class: "mail-subject" }, subject),
          ),
        ),
      ),
    ),
  );
};

function reader(mail, state, set) {
  if (!mail)
    return h(
      "div",
      { class: "panel reader", key: "gone" },
      empty("This e-mail is not here any more", "Choose another one from the list."),
    );
  const forms = [
    ["html", "Rendered"],
    ["text", "Text"],
    ["links", "Links"],
  ];
  return panel(
    {
      id: "reader",
      title: mail.subject,
      class: "reader",
      note: choice("Form", forms, state.form, (form) => set({ form })),
    },
    h(
      "p",
      { class: "reader-head" },
      h("a", { class: "only-phone", href: "#/outbox" }, "Back to the list"),
      h("span", {}, "To ", h("b", {}, mail.to)),
      h("a", { href: `#/carts/${encodeURIComponent(mail.cart_id)}` }, "Why it was sent"),
      h(
        "span",
        { class: "fine", title: `on the store's clock; really ${dateTime(mail.sent_at)}` },
        dateTime(mail.store_time),
      ),
    ),
    state.form === "html" && mailFrame(mail),
    state.form === "text" && h("pre", { class: "mail-text", key: "text", tabindex: 0 }, mail.text),
    state.form === "links" && links(mail.links ?? []),
  );
}

const links = (found) =>
  h(
    "div",
    { class: "links", key: "links" },
    h("p", { class: "fine" }, "Opening one counts as the shopper's own click."),
    found.length === 0 && h("p", {}, "This e-mail holds no links."),
    h(
      "ul",
      {},
      found.map((link) =>
        h("li", { key: link }, h("a", { href: link, target: "_blank", rel: "noopener noreferrer" }, link)),
      ),
    ),
  );
