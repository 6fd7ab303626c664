// Follows one pull to its end (nbgitpuller's stream of events), then opens Lab or says what went wrong.
"use strict";

const given = (name) => decodeURIComponent(document.body.dataset[name] || "");
const find = (id) => document.getElementById(id);
const lines = [];

function failed(why, code) {
  find("doing").hidden = true;
  find("failed").hidden = false;
  find("why").textContent = why;
  find("log").textContent = lines.join("");
  find("again").href = location.href;
  if (code === "merge") {
    const address = new URL(location.href);
    address.searchParams.set("backup", "true");
    find("anew").href = address.href;
    find("anew").hidden = false;
  }
}

function pull() {
  const asked = new URLSearchParams({ repo: given("repo"), branch: given("branch"), _xsrf: given("xsrf") });
  if (given("backup")) asked.set("backup", "true");
  const stream = new EventSource(`${given("baseUrl")}git-pull/api?${asked}`);
  stream.onmessage = (event) => {
    const news = JSON.parse(event.data);
    lines.push(news.output || "");
    if (news.phase === "finished") {
      stream.close();
      location.replace(given("baseUrl") + given("path"));
    } else if (news.phase === "error") {
      stream.close();
      failed(news.message || "", (news.error || {}).code);
    }
  };
  // Without this the browser would reconnect again and again.
  stream.onerror = () => {
    stream.close();
    failed("Your server did not answer; reload this page.", "");
  };
}

pull();
