// Reads messages, one JSON string of octets a line, with parsers of npm: one JSON object a line.
import { createInterface } from "node:readline";
import { createRequire } from "node:module";

const [path, ...names] = process.argv.slice(2);
const require = createRequire(`${path}/`);

const parsers = {
  mailparser: async (octets) => {
    const found = await require("mailparser").simpleParser(octets, { skipTextToHtml: true });
    return {
      text: found.text ?? "",
      html: Boolean(found.html),
      subject: found.subject ?? "",
      author: (found.from?.value ?? []).map((one) => one.address).join(" "),
      names: found.attachments.map((one) => one.filename ?? null),
    };
  },
  "postal-mime": async (octets) => {
    const PostalMime = require("postal-mime");
    const found = await (PostalMime.default ?? PostalMime).parse(octets);
    return {
      text: found.text ?? "",
      html: Boolean(found.html),
      subject: found.subject ?? "",
      author: found.from?.address ?? "",
      names: found.attachments.map((one) => one.filename ?? null),
    };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const octets = Buffer.from(JSON.parse(line), "latin1");
  const readings = {};
  for (const name of names) {
    readings[name] = await parsers[name](octets).catch(() => null);
  }
  console.log(JSON.stringify(readings));
}
