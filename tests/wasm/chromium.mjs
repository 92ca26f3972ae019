// Runs generated modules in headless Chromium, over the DevTools protocol on a pipe. Jobs and answers are those of run.mjs, and one more kind:
// {page, stroke, screenshot}: opens a page, draws a line through the points of `stroke` on its canvas, answers with the text of #answer, and
// writes a picture of the page.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { runModule } from "./harness.mjs";

const profile = mkdtempSync(join(tmpdir(), "octet-chromium-"));
const flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--remote-debugging-pipe"];
const browser = spawn(process.env.CHROMIUM ?? "chromium", [...flags, `--user-data-dir=${profile}`, "about:blank"], {
  stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
});
const waiting = new Map();
let [rest, sent] = ["", 0];
browser.stdio[4].setEncoding("utf8").on("data", (text) => {
  const messages = (rest + text).split("\0");
  rest = messages.pop();
  for (const message of messages.map((m) => JSON.parse(m))) {
    const slot = waiting.get(message.id);
    waiting.delete(message.id);
    if (message.error) slot?.reject(new Error(message.error.message));
    else slot?.resolve(message.result);
  }
});
browser.on("error", (error) => {
  process.stderr.write(`${error}\n`);
  process.exit(1);
});
const send = (method, params = {}, sessionId) =>
  new Promise((resolve, reject) => {
    const id = ++sent;
    waiting.set(id, { resolve, reject });
    browser.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
  });

async function open(url) {
  const { targetId } = await send("Target.createTarget", { url: "about:blank" });
  const { sessionId } = await send("Target.attachToTarget", { targetId, flatten: true });
  const call = (method, params) => send(method, params, sessionId);
  await call("Page.enable");
  await call("Emulation.setDeviceMetricsOverride", { width: 800, height: 640, deviceScaleFactor: 1, mobile: false });
  await call("Page.navigate", { url });
  const evaluate = async (expression) => {
    const { result, exceptionDetails } = await call("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  };
  return { call, evaluate, close: () => send("Target.closeTarget", { targetId }) };
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function run(page, job) {
  const text = (path) => JSON.stringify(readFileSync(path).toString("base64"));
  const answer = await page.evaluate(`(() => {
    ${runModule}
    const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const answer = runModule(bytes(${text(job.model)}), bytes(${text(job.inputs)}), ${job.samples}, ${job.rounds ?? 0});
    if (answer.outputs) answer.outputs = btoa(Array.from(answer.outputs, (b) => String.fromCharCode(b)).join(""));
    return answer;
  })()`);
  const { outputs, ...told } = answer;
  if (outputs !== undefined) writeFileSync(job.outputs, Buffer.from(outputs, "base64"));
  return told;
}

async function draw(job) {
  const page = await open(pathToFileURL(job.page).href);
  for (let tries = 0; (await page.evaluate("document.body?.dataset.ready")) !== "yes"; tries++) {
    if (tries > 300) throw new Error("the page does not become ready");
    await pause(100);
  }
  const box = await page.evaluate("(() => { const b = document.getElementById('paper').getBoundingClientRect(); return [b.left, b.top]; })()");
  const mouse = (type, [x, y]) =>
    page.call("Input.dispatchMouseEvent", { type, x: box[0] + x, y: box[1] + y, button: "left", buttons: type === "mouseReleased" ? 0 : 1, clickCount: 1 });
  for (const line of job.stroke) {
    await mouse("mousePressed", line[0]);
    for (const point of line) await mouse("mouseMoved", point);
    await mouse("mouseReleased", line.at(-1));
  }
  await pause(100);
  const answer = await page.evaluate("document.getElementById('answer').textContent");
  const facts = await page.evaluate("document.getElementById('facts').textContent");
  const { data } = await page.call("Page.captureScreenshot", { format: "png" });
  if (job.screenshot) writeFileSync(job.screenshot, Buffer.from(data, "base64"));
  await page.close();
  return { answer, facts };
}

const answers = [];
try {
  const page = await open("about:blank");
  for (const job of JSON.parse(readFileSync(0, "utf8"))) {
    try {
      answers.push(job.page ? await draw(job) : await run(page, job));
    } catch (error) {
      answers.push({ error: String(error) });
    }
  }
} finally {
  browser.kill();
}
await new Promise((resolve) => browser.on("exit", resolve));
rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
process.stdout.write(JSON.stringify(answers));
