// The ollama client for JavaScript against the server at argv[2]; prints what it got.
import { readFileSync } from "node:fs";
import { Ollama } from "ollama";

const ask = JSON.parse(readFileSync(new URL("questions.json", import.meta.url)));
const client = new Ollama({ host: process.argv[2] });
const chat = (messages, more = {}) =>
  client.chat({ model: "demo", think: false, options: { temperature: 0 }, messages, ...more });
const user = (content) => [{ role: "user", content }];
const tools = [{ type: "function", function: ask.function }];

const parts = [];
for await (const record of await chat(user(ask.chat), { stream: true })) {
  parts.push(record.message.content);
}
const called = (await chat(user(ask.weather), { tools })).message;
const call = called.tool_calls[0].function;
const answered = await chat(
  [...user(ask.weather), called, { role: "tool", tool_name: call.name, content: ask.result }],
  { tools },
);
const structured = await chat(user(ask.structured), { format: ask.schema });
const embedded = await client.embed({ model: "demo", input: ["a", "b"] });
const missing = await client.show({ model: "missing" }).catch((error) => error);

console.log(
  JSON.stringify({
    chat: (await chat(user(ask.chat))).message.content,
    parts,
    call: { name: call.name, arguments: call.arguments },
    answer: answered.message.content,
    structured: JSON.parse(structured.message.content),
    vectors: embedded.embeddings.map((vector) => vector.length),
    missing: missing.status_code,
  }),
);
