/* Reads an AsyncAPI page with the project's own parser and prints what that has to say, as JSON:
 *
 *   node asyncapi.js PAGE     {"messages": [names], "diagnostics": [{"severity", "code", "message", "path"}]}
 *
 * NODE_PATH names the node_modules that has @asyncapi/parser. No message is told when the page is none. */
"use strict";

const { Parser, fromFile } = require("@asyncapi/parser");

const SEVERITIES = ["error", "warning", "info", "hint"];

function told(diagnostic) {
  return {
    severity: SEVERITIES[diagnostic.severity],
    code: diagnostic.code,
    message: diagnostic.message,
    path: diagnostic.path.join("/"),
  };
}

async function main(page) {
  const { document, diagnostics } = await fromFile(new Parser(), page).parse();
  const messages = document ? document.messages().all().map((message) => message.name()) : [];

  process.stdout.write(JSON.stringify({ messages, diagnostics: diagnostics.map(told) }));
}

main(process.argv[2]);
