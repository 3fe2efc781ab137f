/** The XML that S3 answers with, as services write it and as nobody should. */
import { expect, test } from "bun:test";
import { escapeXml, xmlInner, xmlText } from "../../../../src/tiers/s3/s3-xml.ts";

test("xmlText() gives the first element's text, unescaped", () => {
  const xml = `<?xml version="1.0"?>\n<Error xmlns="http://x/"><Codes>no</Codes><Code>A&amp;B &lt;&#65;&#x42;&gt;&quot;</Code><Code>2</Code></Error>`;
  expect(xmlText(xml, "Code")).toBe(`A&B <AB>"`);
  expect(xmlText(xml, "Codes")).toBe("no");
  expect(xmlText(xml, "Missing")).toBeUndefined();
  expect(xmlText("<A><B/><C attribute='1'>x</C></A>", "B")).toBe("");
  expect(xmlText("<A><B/><C attribute='1'>x</C></A>", "C")).toBe("x");
});

test("xmlInner() gives every element of a list", () => {
  const entries = Array.from({ length: 1000 }, (_, i) => `<Contents><Key>k${i}</Key><Size>${i}</Size></Contents>`);
  const keys = [...xmlInner(`<L>${entries.join("\n")}</L>`, "Contents")].map((each) => xmlText(each, "Key"));
  expect(keys).toEqual(entries.map((_, i) => `k${i}`));
});

test("what is cut short or no XML yields nothing and comes to an end", () => {
  const whole = "<L><Contents><Key>a</Key></Contents></L>";
  for (let length = 0; length < whole.length; length++) {
    for (const name of ["L", "Contents", "Key"])
      expect([...xmlInner(whole.slice(0, length), name)].length).toBeLessThan(2);
  }
  for (const odd of ["<", "<<<<", "<Key", "<Key>", "</Key>", "<Key></Kex>", "&#99999999;"])
    expect(xmlText(odd, "Key")).toBeUndefined();
  expect(xmlText("<Key>&#1114112;&bogus;&#x110000;</Key>", "Key")).toBe("&#1114112;&bogus;&#x110000;");
});

test("escapeXml() is undone by xmlText()", () => {
  const text = `"<a&b>'"`;
  expect(xmlText(`<T>${escapeXml(text)}</T>`, "T")).toBe(text);
});
