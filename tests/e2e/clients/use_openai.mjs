// The openai client for JavaScript against the server at argv[2]; prints what it got.
import { readFileSync } from "node:fs";
import OpenAI from "openai";

const ask = JSON.parse(readFileSync(new URL("questions.json", import.meta.url)));
const client = new OpenAI({ baseURL: `${process.argv[2]}/v1`, apiKey: "any", maxRetries: 0 });
const chat = (messages, more = {}) =>
  client.chat.completions.create({ model: "demo", temperature: 0, reasoning_effort: "none", messages, ...more });
const user = (content) => [{ role: "user", content }];
const tools = [{ type: "function", function: ask.function }];

const parts = [];
for await (const chunk of await chat(user(ask.chat), { stream: true })) {
  parts.push(chunk.choices[0].delta.content ?? "");
}
const called = (await chat(user(ask.weather), { tools })).choices[0].message;
const call = called.tool_calls[0];
const answered = await chat(
  [...user(ask.weather), called, { role: "tool", tool_call_id: call.id, content: ask.result }],
  { tools },
);
const json_schema = { name: "person", schema: ask.schema, strict: true };
const structured = await chat(user(ask.structured), { response_format: { type: "json_schema", json_schema } });
const embedded = await client.embeddings.create({ model: "demo", input: ["a", "b"] });
const missing = await client.models.retrieve("missing").catch((error) => error);

console.log(
  JSON.stringify({
    chat: (await chat(user(ask.chat))).choices[0].message.content,
    parts,
    call: { name: call.function.name, arguments: JSON.parse(call.function.arguments) },
    answer: answered.choices[0].message.content,
    structured: JSON.parse(structured.choices[0].message.content),
    vectors: embedded.data.map((each) => each.embedding.length),
    missing: missing.status,
  }),
);
