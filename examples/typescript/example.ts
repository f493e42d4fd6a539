// Searches for users, one for each line of stdin, and shows who answered each:
//
//   ROLLOUTS_URL=http://localhost:8600 QDRANT_URL=http://localhost:6333 \
//     node dist/example.js documentation '[0.1, 0.2, 0.3]'
//
// ROLLOUTS_TOKEN is a token with the scope `router`, unless there is no token yet.

import { createInterface } from "node:readline";
import { Router } from "./router.ts";

const { ROLLOUTS_URL, ROLLOUTS_TOKEN, QDRANT_URL } = process.env;
const [alias, vector] = process.argv.slice(2);
if (!ROLLOUTS_URL || !QDRANT_URL || !alias || !vector) {
  console.error("set ROLLOUTS_URL and QDRANT_URL, and name an alias and a vector");
  process.exit(2);
}

async function search(collection: string, signal?: AbortSignal): Promise<unknown[]> {
  const place = `collections/${encodeURIComponent(collection)}/points/query`;
  const answer = await fetch(`${QDRANT_URL}/${place}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: `{"query": ${vector}, "limit": 3}`,
    signal: signal ?? null,
  });
  if (!answer.ok) throw new Error(`Qdrant: ${answer.status} ${await answer.text()}`);
  const found = (await answer.json()) as { result: { points: unknown[] } };
  return found.result.points;
}

const router = await Router.open({
  url: ROLLOUTS_URL,
  ...(ROLLOUTS_TOKEN ? { token: ROLLOUTS_TOKEN } : {}),
  failed: (error) => console.error(String(error)),
});
const count = (points: unknown[]) => points.length;
for await (const user of createInterface({ input: process.stdin })) {
  try {
    const { answer, ...how } = await router.call(alias, search, { user, count });
    console.log(JSON.stringify({ user, ...how, results: answer.length }));
  } catch (error) {
    console.error(`${user}: ${String(error)}`);
  }
}
await router.close();
