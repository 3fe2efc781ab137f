import { expect, test } from "bun:test";
import { bookmarkPage, volumePage } from "../../../src/api/page.ts";
import { openApiFixture } from "../../support/api-fixture.ts";

const named = (...names: string[]) => names.map((name) => ({ name }));

test("volumePage() goes on behind a place, also when what stood there is gone", () => {
  const volumes = named("a", "b", "c", "d");
  expect(volumePage(volumes, { limit: 2 })).toEqual({ page: named("a", "b"), next: "b" });
  expect(volumePage(named("a", "c", "d"), { limit: 2, after: "b" })).toEqual({ page: named("c", "d") });
  expect(volumePage(volumes, { limit: 4 })).toEqual({ page: volumes });
  expect(volumePage(volumes, { after: "d" })).toEqual({ page: [] });
});

test("bookmarkPage() tells apart bookmarks of one moment", () => {
  const bookmarks = [
    { name: "z", lsn: 5 },
    { name: "a", lsn: 7 },
    { name: "b", lsn: 5 },
    { name: "c:d", lsn: 6 },
  ];
  const seen: string[] = [];
  let after: string | undefined;
  do {
    const { page, next } = bookmarkPage(bookmarks, { after, limit: 1 });
    seen.push(...page.map(({ name }) => name));
    after = next;
  } while (after !== undefined);
  expect(seen).toEqual(["b", "z", "c:d", "a"]);
  expect(() => bookmarkPage(bookmarks, { after: "x" })).toThrow("after");
});

test("GET /v1/volumes gives 1,000 at a time, and says how to go on", async () => {
  using api = await openApiFixture();
  for (let i = 0; i < 1_003; i++) await api.volumes.create(`v${i}`, 512);
  const read = async (query: string) =>
    (await (await api.ask(`/v1/volumes${query}`)).json()) as { volumes: { name: string }[]; next?: string };
  const first = await read("");
  expect(first.volumes).toHaveLength(1_000);
  const rest = await read(`?after=${first.next}`);
  expect(rest.volumes).toHaveLength(3);
  expect(rest).not.toHaveProperty("next");
  expect((await read("?limit=2")).volumes).toHaveLength(2);
});
